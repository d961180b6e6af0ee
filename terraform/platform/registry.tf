locals {
  repository = "aelp2"
}

# One for all environments: what prod runs is byte for byte what dev ran, so the lock file names one place.
resource "google_artifact_registry_repository" "images" {
  count = var.project == var.images_project ? 1 : 0

  project       = var.project
  location      = var.region
  repository_id = local.repository
  description   = "Images of the jobs; dags/images.lock.json names them by digest"
  format        = "DOCKER"
  labels        = local.labels

  docker_config {
    immutable_tags = true
  }

  vulnerability_scanning_config {
    enablement_config = "INHERITED"
  }

  # A release tags what it pushes with its version; a pod of today or a rollback may need any of them, so they stay. What lost its
  # tag, or never had one, goes after a month. Keeping wins over deleting.
  cleanup_policies {
    id     = "keep-released"
    action = "KEEP"

    condition {
      tag_state = "TAGGED"
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
