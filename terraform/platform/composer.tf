locals {
  # Never moves by itself: DAG tests and the dependency set of .venv-airflow are those of this image.
  composer_image = "composer-3-airflow-3.3.1-build.0"
}

resource "google_composer_environment" "aelp2" {
  project = var.project
  region  = var.region
  name    = "aelp2"
  labels  = local.labels

  storage_config {
    bucket = google_storage_bucket.aelp2["airflow"].name
  }

  config {
    environment_size = "ENVIRONMENT_SIZE_SMALL"
    resilience_mode  = "STANDARD_RESILIENCE"

    # Airflow has no way out but the network below; packages are built without one at all (there are none to build).
    enable_private_environment = true
    enable_private_builds_only = true

    node_config {
      network         = google_compute_network.aelp2["composer"].id
      subnetwork      = google_compute_subnetwork.aelp2["composer"].id
      service_account = "${local.needs.composer.account}@${var.project}.iam.gserviceaccount.com"
    }

    software_config {
      image_version            = local.composer_image
      web_server_plugins_mode  = "ENABLED"
      airflow_config_overrides = local.airflow_config
      env_variables = merge(
        {
          AELP2_RUNNER    = var.runner
          AELP2_APPROVERS = join(",", var.approvers)
        },
        local.on_gke ? {
          AELP2_GKE_PROJECT  = var.gke_project
          AELP2_GKE_LOCATION = var.region
          AELP2_GKE_CLUSTER  = google_container_cluster.runner[0].name
        } : {}
      )
    }

    # The work is done in pods: a worker's slot mostly waits. Gates wait in the triggerer for up to 23 hours.
    workloads_config {
      scheduler {
        count      = 1
        cpu        = 0.5
        memory_gb  = 2
        storage_gb = 1
      }
      triggerer {
        count     = 1
        cpu       = 0.5
        memory_gb = 1
      }
      dag_processor {
        count      = 1
        cpu        = 1
        memory_gb  = 4
        storage_gb = 1
      }
      web_server {
        cpu        = 1
        memory_gb  = 2
        storage_gb = 1
      }
      worker {
        min_count  = 1
        max_count  = var.worker_max_count
        cpu        = 1
        memory_gb  = 4
        storage_gb = 10
      }
    }

    web_server_network_access_control {
      dynamic "allowed_ip_range" {
        for_each = var.web_allowed_ranges

        content {
          value       = allowed_ip_range.key
          description = allowed_ip_range.value
        }
      }
    }

    # Twelve hours a week at least; outside of the hours in which the daily DAGs run (dags/README.md).
    maintenance_window {
      start_time = "2026-01-03T16:00:00Z"
      end_time   = "2026-01-03T22:00:00Z"
      recurrence = "FREQ=WEEKLY;BYDAY=SA,SU"
    }

    # Airflow's own state: runs, pools, and which approval waits. Data is in BigQuery.
    recovery_config {
      scheduled_snapshots_config {
        enabled                    = true
        snapshot_creation_schedule = "0 3 * * *"
        snapshot_location          = "gs://${google_storage_bucket.aelp2["snapshots"].name}/composer"
        time_zone                  = "UTC+00"
      }
    }

    data_retention_config {
      airflow_metadata_retention_config {
        retention_mode = "RETENTION_MODE_ENABLED"
        retention_days = 90
      }
    }
  }

  lifecycle {
    prevent_destroy = true # approvals that wait, run history and pools are in it
  }

  depends_on = [google_project_service.api, google_project_iam_member.needs, google_storage_bucket_iam_member.needs]
}

locals {
  airflow_config = {
    core-dags_are_paused_at_creation = "True" # a release never starts a DAG that nobody has looked at
    core-max_active_tasks_per_dag    = "8"
    api-expose_config                = "False"
  }
  settings = merge(var.settings, {
    AELP2_MODE              = var.mode
    AELP2_GCP_PROJECT       = var.project
    AELP2_BIGQUERY_LOCATION = var.bigquery_location
    AELP2_POLICY            = "/etc/aelp2-policy/policy.yaml"
    AELP2_REPORT_DIR        = "gs://${google_storage_bucket.aelp2["reports"].name}/reports"
  }, var.ga4_export == "" ? {} : { AELP2_GA4_EXPORT = var.ga4_export })
  config_maps = {
    aelp2-settings = local.settings
    aelp2-policy   = { "policy.yaml" = file("${path.module}/environments/${var.environment}.policy.yaml") }
  }
}

resource "google_composer_user_workloads_config_map" "aelp2" {
  for_each = local.config_maps

  project     = var.project
  region      = var.region
  environment = google_composer_environment.aelp2.name
  name        = each.key
  data        = each.value
}
