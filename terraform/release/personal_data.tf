# Columns whose contract says `pii: true` carry a policy tag: who may read the dataset sees them only with a grant of its own (grants.tf).
# One tag a dataset: names of colleagues stand in `control`, ids of customers in `gaelp_users`.
locals {
  personal = toset(flatten([
    for name in local.tables : [for field in values(local.contracts[name].fields) : split(".", name)[0] if try(field.pii, false)]
  ]))
}

resource "google_data_catalog_taxonomy" "personal" {
  display_name           = "aelp2-personal-data"
  description            = "Personal data in AELP2's tables, by dataset."
  region                 = lower(var.bigquery_location)
  activated_policy_types = ["FINE_GRAINED_ACCESS_CONTROL"]

  lifecycle {
    prevent_destroy = true # without its tags the columns would be open
  }
}

resource "google_data_catalog_policy_tag" "personal" {
  for_each = local.personal

  taxonomy     = google_data_catalog_taxonomy.personal.id
  display_name = each.key
  description  = "Personal data in dataset ${each.key}."

  lifecycle {
    prevent_destroy = true
  }
}
