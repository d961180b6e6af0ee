# What a BI tool may see: the views of dataset `dashboard`. They are authorised on the datasets they read, so their readers need no
# access to those; no view of it has a personal column (tests/terraform/test_tables.py).
locals {
  authorised = merge([
    for name in local.views : {
      for dataset in distinct([for table in local.reads[name] : split(".", table)[0]]) : "${name}/${dataset}" => { view = name, dataset = dataset }
    }
    if startswith(name, "dashboard.")
  ]...)
}

resource "google_bigquery_dataset_access" "dashboard" {
  for_each = local.authorised

  dataset_id = google_bigquery_dataset.this[each.value.dataset].dataset_id

  view {
    project_id = var.project
    dataset_id = split(".", each.value.view)[0]
    table_id   = google_bigquery_table.view[each.value.view].table_id
  }
}

# An entry of the dataset's list, as in grants.tf: IAM members would take authorised views away.
resource "google_bigquery_dataset_access" "dashboard_reader" {
  for_each = var.dashboard_readers

  dataset_id     = google_bigquery_dataset.this["dashboard"].dataset_id
  role           = "roles/bigquery.dataViewer"
  group_by_email = startswith(each.key, "group:") ? trimprefix(each.key, "group:") : null
  user_by_email  = startswith(each.key, "group:") ? null : trimprefix(trimprefix(each.key, "user:"), "serviceAccount:")
}
