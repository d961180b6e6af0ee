project     = "my-company-aelp2-prod"
region      = "europe-west1"
environment = "prod"
