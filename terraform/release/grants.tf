# What the jobs' accounts may do in the datasets: the table of needs of the stack platform, and nothing beside it
# (tests/terraform/test_iam.py). Entries of their own rather than *_iam_member, which would take the authorised views away.
locals {
  needs = yamldecode(file("${path.module}/../platform/needs.yaml")).accounts
  roles = { for name, need in local.needs : name => need if can(need.access) }
  # Pods of every role are the environment's account, unless they run in a cluster of our own.
  account = { for name, need in local.roles : name => "${var.runner == "gke" ? need.account : local.needs.composer.account}@${var.project}.iam.gserviceaccount.com" }

  asked = flatten([for name, need in local.roles : [
    for dataset, grant in need.datasets : { account = local.account[name], dataset = dataset, role = grant.role, personal = try(grant.personal, false) }
  ]])
  # One entry an account and dataset, with the strongest of the roles that it needs there.
  strength = ["roles/bigquery.metadataViewer", "roles/bigquery.dataViewer", "roles/bigquery.dataEditor"]
  entries = {
    for key, grants in { for grant in local.asked : "${grant.dataset} ${grant.account}" => grant... } : key => merge(
      grants[0], { role = local.strength[max([for grant in grants : index(local.strength, grant.role)]...)] }
    )
  }
  readers = { for grant in local.asked : "${grant.dataset}/${grant.account}" => grant... if grant.personal }
}

resource "google_bigquery_dataset_access" "needs" {
  for_each = local.entries

  dataset_id    = google_bigquery_dataset.this[each.value.dataset].dataset_id
  role          = each.value.role
  user_by_email = each.value.account
}

resource "google_data_catalog_policy_tag_iam_member" "reader" {
  for_each = local.readers

  policy_tag = google_data_catalog_policy_tag.personal[each.value[0].dataset].name
  role       = "roles/datacatalog.categoryFineGrainedReader"
  member     = "serviceAccount:${each.value[0].account}"
}
