locals {
  buckets = {
    airflow   = "DAG files, plugins and task logs of the Composer environment"
    reports   = "HTML reports of the jobs"
    snapshots = "Snapshots of the Composer environment"
  }
}

resource "google_storage_bucket" "aelp2" {
  #checkov:skip=CKV_GCP_62:who reads is in Cloud Audit Logs where they are switched on; usage logs would go to one more bucket that nobody looks at
  for_each = local.buckets

  project                     = var.project
  name                        = "${var.project}-aelp2-${each.key}"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  labels                      = local.labels

  versioning {
    enabled = true
  }

  # Reports and snapshots are looked at for weeks, not for years; what is in BigQuery is the record.
  dynamic "lifecycle_rule" {
    for_each = each.key == "airflow" ? [] : [each.key == "reports" ? 400 : 30]

    content {
      action {
        type = "Delete"
      }
      condition {
        age = lifecycle_rule.value
      }
    }
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = 30
      with_state                 = "ARCHIVED"
    }
  }

  depends_on = [google_project_service.api]
}
