output "airflow_uri" {
  description = "Airflow's page"
  value       = google_composer_environment.aelp2.config[0].airflow_uri
}

output "dags_bucket" {
  description = "Bucket that DAG and plugin files go to"
  value       = google_storage_bucket.aelp2["airflow"].name
}

output "repository" {
  description = "Where images are pushed to"
  value       = "${var.region}-docker.pkg.dev/${var.images_project}/${local.repository}"
}

output "release_account" {
  description = "Account that releases act as"
  value       = trimprefix(local.member.release, "serviceAccount:")
}

output "release_provider" {
  description = "Workload Identity provider for the CI system; null without release_oidc"
  value       = one(google_iam_workload_identity_pool_provider.release[*].name)
}

output "runner_cluster" {
  description = "The runner's cluster, project/location/name; null with runner = composer"
  value       = local.on_gke ? "${var.gke_project}/${var.region}/${google_container_cluster.runner[0].name}" : null
}

output "secrets" {
  description = "Secrets that values are stored in"
  value       = sort(local.secret_ids)
}
