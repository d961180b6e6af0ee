# Two blocks of the same, since prevent_destroy takes no expression. A change that BigQuery cannot make in place would replace a
# table; deletion_protection stops that: an incompatible change is a new table with suffix _v2 (terraform/README.md).
resource "google_bigquery_table" "kept" {
  #checkov:skip=CKV_GCP_80:Google's keys encrypt at rest; a key of one's own that is lost takes the ledger of money with it
  for_each = local.kept

  dataset_id          = google_bigquery_dataset.this[split(".", each.key)[0]].dataset_id
  table_id            = split(".", each.key)[1]
  description         = local.contracts[each.key].description
  schema              = jsonencode(local.schemas[each.key])
  clustering          = try(local.contracts[each.key].cluster, null)
  deletion_protection = true

  labels = {
    app   = "aelp2"
    owner = local.contracts[each.key].owner
  }

  dynamic "time_partitioning" {
    for_each = try([local.contracts[each.key].partition], [])

    content {
      type  = "DAY"
      field = time_partitioning.value
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_bigquery_table" "other" {
  #checkov:skip=CKV_GCP_80:Google's keys encrypt at rest; a key of one's own that is lost takes the ledger of money with it
  for_each = setsubtract(local.tables, local.kept)

  dataset_id          = google_bigquery_dataset.this[split(".", each.key)[0]].dataset_id
  table_id            = split(".", each.key)[1]
  description         = local.contracts[each.key].description
  schema              = jsonencode(local.schemas[each.key])
  clustering          = try(local.contracts[each.key].cluster, null)
  deletion_protection = true

  labels = {
    app   = "aelp2"
    owner = local.contracts[each.key].owner
  }

  dynamic "time_partitioning" {
    for_each = try([local.contracts[each.key].partition], [])

    content {
      type  = "DAY"
      field = time_partitioning.value
    }
  }
}

resource "google_bigquery_table" "view" {
  #checkov:skip=CKV_GCP_80:Google's keys encrypt at rest; a key of one's own that is lost takes the ledger of money with it
  #checkov:skip=CKV_GCP_121:a view holds no rows, and a new text may have to make it anew
  for_each = local.views

  dataset_id          = google_bigquery_dataset.this[split(".", each.key)[0]].dataset_id
  table_id            = split(".", each.key)[1]
  description         = local.contracts[each.key].description
  deletion_protection = false # it holds no rows

  labels = {
    app   = "aelp2"
    owner = local.contracts[each.key].owner
  }

  view {
    query          = local.qualified[each.key]
    use_legacy_sql = false
  }

  depends_on = [google_bigquery_table.kept, google_bigquery_table.other]
}
