project           = "my-company-aelp2-dev"
region            = "europe-west1"
environment       = "dev"
bigquery_location = "EU"
cost_center       = "growth"
images_project    = "my-company-aelp2-prod"

runner           = "composer"
gke_project      = ""
worker_max_count = 3

mode       = "shadow"
settings   = {}
ga4_export = ""

approvers          = ["approver@my-company.example"]
web_allowed_ranges = { "203.0.113.0/24" = "office" }

stored_secrets   = []
secrets_revision = 1

alert_email   = "aelp2-alerts@my-company.example"
page_channels = []

billing_account      = ""
monthly_budget       = 500
bigquery_tib_per_day = 1
bigquery_slots       = 0

release_impersonators = ["group:aelp2-developers@my-company.example"]
operators             = ["group:aelp2-operators@my-company.example"]
release_oidc          = null
