terraform {
  # 1.11 brought write-only arguments, which keep the values of secrets out of the state.
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "8.7.0"
    }
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = "3.4.0"
    }
  }

  # Bucket and prefix: -backend-config=environments/ENVIRONMENT.gcs.tfbackend. Cloud Storage locks the state by itself.
  backend "gcs" {}
}

provider "google" {
  project = var.project
  region  = var.region

  # Budgets and quotas are asked for in the name of a project; without this it would be the one of whoever runs Terraform.
  user_project_override = true
  billing_project       = var.project

  default_labels = local.labels
}

# Reads the values of secrets, and nothing but. An entry of its own because tests plan with the other one mocked, and Terraform
# cannot mock ephemeral resources.
provider "google" {
  alias   = "secrets"
  project = var.project
}

# The runner's cluster, if there is one. Its DNS endpoint has a public certificate and lets nobody in without IAM; the plugin
# signs in as whoever runs Terraform, so no token lies in the state.
provider "kubernetes" {
  host = local.on_gke ? "https://${google_container_cluster.runner[0].control_plane_endpoints_config[0].dns_endpoint_config[0].endpoint}" : null

  exec {
    api_version = "client.authentication.k8s.io/v1beta1"
    command     = "gke-gcloud-auth-plugin"
  }
}

locals {
  # What a bill can be split by.
  labels = {
    app         = "aelp2"
    environment = var.environment
    component   = "platform"
    cost_center = var.cost_center
  }
  on_gke = var.runner == "gke"
}
