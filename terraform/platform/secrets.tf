# Secrets without values. A value never passes through Terraform's state: people and `aelp2 onboard` add versions to Secret Manager;
# scripts/fill_pod_secrets.py carries them into Composer's cluster, an ephemeral read and a write-only argument into the runner's.
locals {
  pod_secrets = local.document.secrets
  secret_ids  = toset(flatten([for keys in values(local.pod_secrets) : values(keys)]))
}

resource "google_secret_manager_secret" "aelp2" {
  for_each = local.secret_ids

  project   = var.project
  secret_id = each.key
  labels    = local.labels

  replication {
    auto {}
  }

  # Another salt matches no stored name, and a refresh token is hard to get again: a destroyed version can be had back for a month.
  version_destroy_ttl = "2592000s"
  deletion_protection = true

  lifecycle {
    prevent_destroy = true # the salt of every hashed name and id is in here
  }

  depends_on = [google_project_service.api]
}

# Made empty, so that every pod starts and a job without credentials says so itself. The provider sends `data` when it is set, and
# never reads it back; values come from scripts/fill_pod_secrets.py.
resource "google_composer_user_workloads_secret" "aelp2" {
  for_each = local.on_gke ? {} : local.pod_secrets

  project     = var.project
  region      = var.region
  environment = google_composer_environment.aelp2.name
  name        = each.key

  lifecycle {
    ignore_changes = [data]
  }
}

ephemeral "google_secret_manager_secret_version" "stored" {
  for_each = local.on_gke ? toset(var.stored_secrets) : []
  provider = google.secrets

  project = var.project
  secret  = each.key
}

# A Secret is in the namespace of the role that may mount it and in no other: a pod of another role cannot ask for it.
resource "kubernetes_secret_v1" "aelp2" {
  for_each = merge([
    for role, need in local.runner_namespaces : { for name in need.secrets : "${role}/${name}" => { role = role, name = name } }
  ]...)

  metadata {
    name      = each.value.name
    namespace = kubernetes_namespace_v1.role[each.value.role].metadata[0].name
  }

  data_wo = {
    for key, id in local.pod_secrets[each.value.name] : key => ephemeral.google_secret_manager_secret_version.stored[id].secret_data
    if contains(var.stored_secrets, id)
  }
  data_wo_revision = var.secrets_revision
}
