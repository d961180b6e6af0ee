resource "google_artifact_registry_repository" "images" {
  project       = var.project
  location      = var.region
  repository_id = "aelp2"
  description   = "Images of the jobs; dags/images.lock.json names them by digest"
  format        = "DOCKER"
  labels        = local.labels

  docker_config {
    immutable_tags = true
  }

  vulnerability_scanning_config {
    enablement_config = "INHERITED"
  }

  # A release tags what it pushes (v…); a pod of today or a rollback may need any of them, so they stay. What was pushed without a
  # release goes after a month. Keeping wins over deleting.
  cleanup_policies {
    id     = "keep-released"
    action = "KEEP"

    condition {
      tag_state    = "TAGGED"
      tag_prefixes = ["v"]
    }
  }
  cleanup_policies {
    id     = "delete-untagged"
    action = "DELETE"

    condition {
      tag_state  = "UNTAGGED"
      older_than = "2592000s"
    }
  }

  lifecycle {
    prevent_destroy = true # images of earlier releases cannot be built again bit by bit once their packages are gone
  }

  depends_on = [google_project_service.api]
}
