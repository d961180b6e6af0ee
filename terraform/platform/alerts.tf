# An alert for each runbook, and the runbook is its text. Those named like a DAG follow from the files: a new DAG with its runbook
# gets its alert by itself. The others are about what the DAGs stand on.
locals {
  root     = "${path.module}/../.."
  runbooks = { for file in fileset("${local.root}/docs/runbooks", "*.md") : trimsuffix(file, ".md") => file("${local.root}/docs/runbooks/${file}") }
  dags     = toset([for file in fileset("${local.root}/dags", "*.py") : trimsuffix(file, ".py")])

  # A page without an urgency is no alert's: others point at it.
  urgencies = { for name, text in local.runbooks : name => regex("\\*\\*Urgency: (now|today|this week)", text)[0] if strcontains(text, "**Urgency: ") }
  severity  = { now = "CRITICAL", today = "ERROR", "this week" = "WARNING" }
  # A channel that wakes people is for money that moves; without one the mail has to do.
  channels = {
    now         = concat([google_monitoring_notification_channel.email.id], var.page_channels)
    today       = [google_monitoring_notification_channel.email.id]
    "this week" = [google_monitoring_notification_channel.email.id]
  }

  # The line that aelp2_airflow.defaults.alert logs. Composer may pass it on as text, as the message of a structured entry, or
  # taken apart; `between` stands for what is between a key and its value in each writing (": " with or without backslashes). No
  # log is named: the callback of a task that was killed runs in another component than the task.
  of_environment = "resource.type=\"cloud_composer_environment\" AND resource.labels.environment_name=\"${google_composer_environment.aelp2.name}\""
  between        = "[^a-z_ ]+ ?[^a-z_ ]+"
  alert_texts    = ["textPayload", "jsonPayload.message", "jsonPayload.event"]
  alert_keys     = merge({ for dag in local.dags : dag => "dag_id" }, { image_pull = "kind" })
  alert_line = {
    for value, key in local.alert_keys : value => join(" ", [
      local.of_environment, "AND (",
      join(" OR ", concat(
        [for field in local.alert_texts : "(${field}=~\"aelp2_alert${local.between}task_failed\" AND ${field}=~\"${key}${local.between}${value}[^a-z0-9_]\")"],
        ["(jsonPayload.aelp2_alert=\"task_failed\" AND jsonPayload.${key}=\"${value}\")"]
      )),
      ")"
    ])
  }
  alert_labels = { for label in ["dag_id", "task_id", "kind"] : label => "REGEXP_EXTRACT(textPayload, \"${label}${local.between}([a-z0-9_]+)\")" }
}

resource "google_monitoring_notification_channel" "email" {
  project      = var.project
  type         = "email"
  display_name = "AELP2 ${var.environment}"
  labels       = { email_address = var.alert_email }

  depends_on = [google_project_service.api]
}

resource "google_monitoring_alert_policy" "line" {
  for_each = local.alert_line

  project               = var.project
  display_name          = "aelp2 ${each.key}"
  combiner              = "OR"
  severity              = local.severity[local.urgencies[each.key]]
  notification_channels = local.channels[local.urgencies[each.key]]
  user_labels           = { app = "aelp2", runbook = each.key }

  conditions {
    display_name = "a task failed"

    condition_matched_log {
      filter           = each.value
      label_extractors = local.alert_labels
    }
  }

  alert_strategy {
    auto_close = "86400s"

    # Google counts for each combination of the labels: the tries and mapped instances of a task are one message in five minutes, two
    # tasks that fail are two.
    notification_rate_limit {
      period = "300s"
    }
  }

  documentation {
    subject   = "aelp2 ${var.environment}: $${log.extracted_label.dag_id} $${log.extracted_label.task_id} failed ($${log.extracted_label.kind})"
    content   = local.runbooks[each.key]
    mime_type = "text/markdown"
  }
}

# Failures over time by DAG, task and kind, for a chart; the alerts do not need it.
resource "google_logging_metric" "task_failures" {
  project     = var.project
  name        = "aelp2/task_failures"
  description = "Lines of aelp2_airflow.defaults.alert"
  filter      = "${local.of_environment} AND textPayload=~\"aelp2_alert${local.between}task_failed\""

  label_extractors = local.alert_labels

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"

    dynamic "labels" {
      for_each = keys(local.alert_labels)

      content {
        key        = labels.value
        value_type = "STRING"
      }
    }
  }

  depends_on = [google_project_service.api]
}
