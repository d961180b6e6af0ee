project              = "my-company-aelp2-prod"
environment          = "prod"
region               = "europe-west1"
bigquery_location    = "EU"
composer_environment = "aelp2"
runner               = "gke"
dashboard_readers    = ["group:growth@my-company.example"]
