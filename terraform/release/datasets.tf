# Every folder of include/sql with a table in it is a dataset.
resource "google_bigquery_dataset" "this" {
  #checkov:skip=CKV_GCP_81:Google's keys encrypt at rest; a key of one's own that is lost takes the ledger of money with it
  for_each = local.datasets

  dataset_id                 = each.key
  location                   = var.bigquery_location
  description                = "AELP2: its tables are described in docs/data_dictionary.md."
  delete_contents_on_destroy = false
  max_time_travel_hours      = "168"

  labels = {
    app  = "aelp2"
    cost = "aelp2-${replace(each.key, "_", "-")}"
  }

  lifecycle {
    prevent_destroy = true
    # Authorised views are entries of this list, too; they are resources of their own (dashboard.tf).
    ignore_changes = [access]
  }
}
