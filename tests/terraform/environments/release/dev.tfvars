project              = "my-company-aelp2-dev"
environment          = "dev"
region               = "europe-west1"
bigquery_location    = "EU"
composer_environment = "aelp2"
runner               = "composer"
dashboard_readers    = ["group:growth@my-company.example"]
