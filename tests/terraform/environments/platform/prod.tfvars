project           = "my-company-aelp2-prod"
region            = "europe-west1"
environment       = "prod"
bigquery_location = "EU"
cost_center       = "growth"
images_project    = "my-company-aelp2-prod"

runner           = "gke"
gke_project      = "my-company-aelp2-prod-pods"
worker_max_count = 4

mode       = "shadow" # live is a decision of its own: docs/how-to/go-live.md
settings   = { AELP2_OUTCOMES_URL = "https://data.my-company.example/outcomes.csv" }
ga4_export = "my-company-website.analytics_123456789"

approvers          = ["approver@my-company.example", "second-approver@my-company.example"]
web_allowed_ranges = { "203.0.113.0/24" = "office" }

stored_secrets   = []
secrets_revision = 1

alert_email   = "aelp2-alerts@my-company.example"
page_channels = ["projects/my-company-aelp2-prod/notificationChannels/1234567890"]

billing_account      = "012345-678901-ABCDEF"
monthly_budget       = 1500
bigquery_tib_per_day = 2
bigquery_slots       = 0

release_impersonators = ["group:aelp2-release-managers@my-company.example"]
operators             = ["group:aelp2-operators@my-company.example"]
release_oidc = {
  issuer  = "https://ci.my-company.example"
  subject = "repo:my-company/aelp2:ref:refs/heads/main"
}
