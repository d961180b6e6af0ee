# Accounts and grants, all of them from needs.yaml. No account has a key: pods get theirs by Workload Identity, Composer from
# Google, CI/CD by federation (release.tf).
locals {
  document = yamldecode(file("${path.module}/needs.yaml"))
  needs    = local.document.accounts
  roles    = { for name, need in local.needs : name => need if can(need.access) }

  # Whose account a pod's role is: its own on a cluster of our own; Composer's cluster knows the environment's only.
  identity = { for name, _ in local.needs : name => contains(keys(local.roles), name) && !local.on_gke ? "composer" : name }
  existing = toset([for name in values(local.identity) : name if local.on_gke || name != "nodes"])
  home     = { for name in local.existing : name => name == "nodes" ? var.gke_project : var.project }
  member   = { for name, project in local.home : name => "serviceAccount:${local.needs[name].account}@${project}.iam.gserviceaccount.com" }

  in_project = flatten([for name, need in local.needs : [
    for role in keys(try(need.project, {})) : { identity = local.identity[name], role = role }
  ]])
  in_buckets = flatten([for name, need in local.needs : [
    for bucket, grant in try(need.buckets, {}) : { identity = local.identity[name], bucket = bucket, role = grant.role }
  ]])
  in_repository = [for name, need in local.needs : { identity = local.identity[name], role = need.repository.role } if can(need.repository) && contains(local.existing, name)]
}

resource "google_service_account" "aelp2" {
  for_each = local.existing

  project      = local.home[each.key]
  account_id   = local.needs[each.key].account
  display_name = "AELP2: ${local.needs[each.key].title}"

  depends_on = [google_project_service.api]
}

resource "google_project_iam_member" "needs" {
  for_each = { for grant in distinct(local.in_project) : "${grant.identity} ${grant.role}" => grant }

  project = var.project
  role    = each.value.role
  member  = local.member[each.value.identity]

  depends_on = [google_service_account.aelp2]
}

resource "google_storage_bucket_iam_member" "needs" {
  for_each = { for grant in distinct(local.in_buckets) : "${grant.identity} ${grant.bucket} ${grant.role}" => grant }

  bucket = google_storage_bucket.aelp2[each.value.bucket].name
  role   = each.value.role
  member = local.member[each.value.identity]

  depends_on = [google_service_account.aelp2]
}

resource "google_artifact_registry_repository_iam_member" "needs" {
  for_each = { for grant in local.in_repository : "${grant.identity} ${grant.role}" => grant }

  project    = var.images_project
  location   = var.region
  repository = local.repository
  role       = each.value.role
  member     = local.member[each.value.identity]

  depends_on = [google_service_account.aelp2, google_artifact_registry_repository.images]
}

# The GA4 export lies in a dataset of Google Analytics' making, perhaps in another project. An entry of its own: the *_iam_*
# resources of a dataset would take away the authorised views that somebody else may have there.
resource "google_bigquery_dataset_access" "ga4_export" {
  for_each = var.ga4_export == "" ? {} : { for name, need in local.needs : name => need.ga4_export.role if can(need.ga4_export) }

  project       = split(".", var.ga4_export)[0]
  dataset_id    = split(".", var.ga4_export)[1]
  role          = each.value
  user_by_email = trimprefix(local.member[local.identity[each.key]], "serviceAccount:")

  depends_on = [google_service_account.aelp2]
}
