# The project holds nothing else, so the budget is the project's: a label would miss what carries none, such as egress and logs.
data "google_project" "billed" {
  for_each = var.billing_account == "" ? toset([]) : toset([for project in [var.project, var.gke_project] : project if project != ""])

  project_id = each.key
}

resource "google_billing_budget" "month" {
  count = var.billing_account == "" ? 0 : 1

  billing_account = var.billing_account
  display_name    = "aelp2 ${var.environment}"

  budget_filter {
    projects        = [for project in data.google_project.billed : "projects/${project.number}"]
    calendar_period = "MONTH"
  }

  amount {
    specified_amount {
      units = tostring(var.monthly_budget)
    }
  }

  threshold_rules {
    threshold_percent = 0.5
  }
  threshold_rules {
    threshold_percent = 0.9
  }
  threshold_rules {
    threshold_percent = 1
    spend_basis       = "FORECASTED_SPEND"
  }

  all_updates_rule {
    monitoring_notification_channels = [google_monitoring_notification_channel.email.id]
  }

  depends_on = [google_project_service.api]
}

# A limit, where a budget is only a message: what is over it is refused. One query alone is refused above 200 GiB
# (tasks/core/warehouse/bigquery_client.py). The quota counts MiB.
resource "google_cloud_quotas_quota_preference" "bigquery" {
  parent        = "projects/${var.project}"
  name          = "aelp2-bigquery-bytes-per-day"
  service       = "bigquery.googleapis.com"
  quota_id      = "QueryUsagePerDay"
  contact_email = var.alert_email

  quota_config {
    preferred_value = tostring(var.bigquery_tib_per_day * 1024 * 1024)
  }

  # Google's own value is 200 TiB: every sensible one is a large decrease.
  ignore_safety_checks = "QUOTA_DECREASE_PERCENTAGE_TOO_HIGH"

  depends_on = [google_project_service.api]
}

resource "google_bigquery_reservation" "aelp2" {
  count = var.bigquery_slots > 0 ? 1 : 0

  project           = var.project
  location          = var.bigquery_location
  name              = "aelp2"
  edition           = "STANDARD"
  slot_capacity     = 0
  ignore_idle_slots = false
  labels            = local.labels

  autoscale {
    max_slots = var.bigquery_slots
  }

  depends_on = [google_project_service.api]
}

resource "google_bigquery_reservation_assignment" "aelp2" {
  count = var.bigquery_slots > 0 ? 1 : 0

  project     = var.project
  location    = var.bigquery_location
  reservation = google_bigquery_reservation.aelp2[0].id
  assignee    = "projects/${var.project}"
  job_type    = "QUERY"
}
