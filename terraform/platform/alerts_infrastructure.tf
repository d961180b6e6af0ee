# What no task can say itself, because no task runs then.
locals {
  environment_filter = "resource.type=\"cloud_composer_environment\" AND resource.labels.environment_name=\"${google_composer_environment.aelp2.name}\""
  thresholds = {
    environment_unhealthy = {
      says       = "the environment's own check fails more often than not"
      filter     = "metric.type=\"composer.googleapis.com/environment/healthy\" AND ${local.environment_filter}"
      aligner    = "ALIGN_FRACTION_TRUE"
      reducer    = "REDUCE_MIN"
      period     = "600s"
      duration   = "900s"
      comparison = "COMPARISON_LT"
      threshold  = 0.5
      missing    = "EVALUATION_MISSING_DATA_ACTIVE"
    }
    dag_import_errors = {
      says       = "a DAG file cannot be read"
      filter     = "metric.type=\"composer.googleapis.com/environment/dag_processing/parse_error_count\" AND ${local.environment_filter}"
      aligner    = "ALIGN_MAX"
      reducer    = "REDUCE_MAX"
      period     = "300s"
      duration   = "600s"
      comparison = "COMPARISON_GT"
      threshold  = 0
      missing    = "EVALUATION_MISSING_DATA_INACTIVE"
    }
    bigquery_cost = {
      says       = "queries of 24 hours billed more than half of the day's quota"
      filter     = "metric.type=\"bigquery.googleapis.com/query/scanned_bytes_billed\" AND resource.type=\"global\""
      aligner    = "ALIGN_SUM"
      reducer    = "REDUCE_SUM"
      period     = "86400s"
      duration   = "0s"
      comparison = "COMPARISON_GT"
      threshold  = var.bigquery_tib_per_day * pow(2, 40) / 2
      missing    = "EVALUATION_MISSING_DATA_INACTIVE"
    }
  }
  # An asset that nobody writes starts nothing, and nothing fails: silence has to be noticed by itself. 25 hours are as far as an
  # alert looks back; two more let a plan be later than yesterday's.
  silences = {
    plan_missing = "(sum(increase(composer_googleapis_com:workflow_run_count{monitored_resource=\"cloud_composer_workflow\",project_id=\"${var.project}\",workflow_name=\"budget_plan_daily\"}[25h])) or vector(0)) < 1"
  }
}

resource "google_monitoring_alert_policy" "threshold" {
  for_each = local.thresholds

  project               = var.project
  display_name          = "aelp2 ${each.key}"
  combiner              = "OR"
  severity              = local.severity[local.urgencies[each.key]]
  notification_channels = local.channels[local.urgencies[each.key]]
  user_labels           = { app = "aelp2", runbook = each.key }

  conditions {
    display_name = each.value.says

    condition_threshold {
      filter                  = each.value.filter
      comparison              = each.value.comparison
      threshold_value         = each.value.threshold
      duration                = each.value.duration
      evaluation_missing_data = each.value.duration == "0s" ? null : each.value.missing

      aggregations {
        alignment_period     = each.value.period
        per_series_aligner   = each.value.aligner
        cross_series_reducer = each.value.reducer
      }
    }
  }

  documentation {
    subject   = "aelp2 ${var.environment}: ${each.value.says}"
    content   = local.runbooks[each.key]
    mime_type = "text/markdown"
  }
}

resource "google_monitoring_alert_policy" "silence" {
  for_each = local.silences

  project               = var.project
  display_name          = "aelp2 ${each.key}"
  combiner              = "OR"
  severity              = local.severity[local.urgencies[each.key]]
  notification_channels = local.channels[local.urgencies[each.key]]
  user_labels           = { app = "aelp2", runbook = each.key }

  conditions {
    display_name = "no run ended in a day"

    condition_prometheus_query_language {
      query               = each.value
      duration            = "7200s"
      evaluation_interval = "300s"
    }
  }

  documentation {
    subject   = "aelp2 ${var.environment}: no run of a daily DAG ended in a day"
    content   = local.runbooks[each.key]
    mime_type = "text/markdown"
  }

  depends_on = [google_composer_environment.aelp2]
}
