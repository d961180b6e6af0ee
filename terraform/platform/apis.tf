locals {
  apis = {
    (var.project) = [
      "artifactregistry", "bigquery", "bigqueryreservation", "billingbudgets", "cloudquotas", "cloudresourcemanager", "composer",
      "compute", "containerscanning", "datacatalog", "iam", "iamcredentials", "logging", "monitoring", "secretmanager",
      "serviceusage", "storage", "sts"
    ]
    (var.gke_project) = ["compute", "container", "iam", "iamcredentials", "logging", "monitoring"]
  }
  enabled = merge([
    for project, names in local.apis : { for name in names : "${project}/${name}" => { project = project, name = name } } if project != ""
  ]...)
}

resource "google_project_service" "api" {
  for_each = local.enabled

  project = each.value.project
  service = "${each.value.name}.googleapis.com"

  # Destroying this stack must not switch off what somebody else in the project uses.
  disable_on_destroy = false
}
