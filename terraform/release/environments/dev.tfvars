project     = "my-company-aelp2-dev"
region      = "europe-west1"
environment = "dev"
