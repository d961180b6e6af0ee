output "airflow_uri" {
  description = "Airflow's page"
  value       = google_composer_environment.aelp2.config[0].airflow_uri
}

output "repository" {
  description = "Where images are pushed to"
  value       = "${var.region}-docker.pkg.dev/${var.images_project}/${local.repository}"
}

output "release_provider" {
  description = "Workload Identity provider for the CI system; null without release_oidc"
  value       = one(google_iam_workload_identity_pool_provider.release[*].name)
}
