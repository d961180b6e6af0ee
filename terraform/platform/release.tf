# Who may act as aelp2-release. There is no key of it that could be stolen.
resource "google_service_account_iam_member" "release_impersonator" {
  for_each = toset(var.release_impersonators)

  service_account_id = google_service_account.aelp2["release"].name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = each.value
}

resource "google_iam_workload_identity_pool" "release" {
  count = var.release_oidc == null ? 0 : 1

  project                   = var.project
  workload_identity_pool_id = "aelp2-release"
  display_name              = "AELP2 releases"

  depends_on = [google_project_service.api]
}

resource "google_iam_workload_identity_pool_provider" "release" {
  count = var.release_oidc == null ? 0 : 1

  project                            = var.project
  workload_identity_pool_id          = google_iam_workload_identity_pool.release[0].workload_identity_pool_id
  workload_identity_pool_provider_id = "ci"
  attribute_mapping                  = { "google.subject" = "assertion.sub" }
  attribute_condition                = "assertion.sub == '${var.release_oidc.subject}'"

  oidc {
    issuer_uri = var.release_oidc.issuer
  }
}

resource "google_service_account_iam_member" "release_oidc" {
  count = var.release_oidc == null ? 0 : 1

  service_account_id = google_service_account.aelp2["release"].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principal://iam.googleapis.com/${google_iam_workload_identity_pool.release[0].name}/subject/${var.release_oidc.subject}"
}
