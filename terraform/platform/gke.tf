# The runner's cluster, with runner = gke only: an Autopilot cluster in a project of its own (README, Why two projects).
resource "google_container_cluster" "runner" {
  count = local.on_gke ? 1 : 0

  project             = var.gke_project
  location            = var.region
  name                = "aelp2-runner"
  enable_autopilot    = true
  deletion_protection = true
  network             = google_compute_network.aelp2["runner"].id
  subnetwork          = google_compute_subnetwork.aelp2["runner"].id
  resource_labels     = local.labels

  ip_allocation_policy {
    cluster_secondary_range_name  = "pods"
    services_secondary_range_name = "services"
  }

  private_cluster_config {
    enable_private_nodes = true
  }

  # No address of the control plane; its DNS name answers whoever has container.clusters.connect, and RBAC decides the rest.
  control_plane_endpoints_config {
    dns_endpoint_config {
      allow_external_traffic = true
    }
    ip_endpoints_config {
      enabled = false
    }
  }

  cluster_autoscaling {
    auto_provisioning_defaults {
      service_account = "${local.needs.nodes.account}@${var.gke_project}.iam.gserviceaccount.com"
      oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]
    }
  }

  master_auth {
    client_certificate_config {
      issue_client_certificate = false
    }
  }

  rbac_binding_config {
    enable_insecure_binding_system_authenticated   = false
    enable_insecure_binding_system_unauthenticated = false
  }

  release_channel {
    channel = "REGULAR"
  }

  # The same hours as Composer's: no daily DAG runs then.
  maintenance_policy {
    recurring_window {
      start_time = "2026-01-03T16:00:00Z"
      end_time   = "2026-01-03T22:00:00Z"
      recurrence = "FREQ=WEEKLY;BYDAY=SA,SU"
    }
  }

  security_posture_config {
    mode = "BASIC"
  }

  cost_management_config {
    enabled = true
  }

  depends_on = [google_project_service.api, google_project_iam_member.runner]
}

locals {
  runner_namespaces = { for name, need in local.roles : name => need if local.on_gke }
  runner_roles = flatten([for name, need in local.needs : [
    for role in try(keys(need.runner_project), []) : { identity = name, role = role } if startswith(role, "roles/")
  ] if local.on_gke])
  runner_permissions = local.on_gke ? { for name, need in local.needs : name => need.runner_project.permissions if can(need.runner_project.permissions) } : {}
}

resource "google_project_iam_member" "runner" {
  for_each = { for grant in local.runner_roles : "${grant.identity} ${grant.role}" => grant }

  project = var.gke_project
  role    = each.value.role
  member  = local.member[each.value.identity]

  depends_on = [google_service_account.aelp2]
}

# No predefined role has these two alone.
resource "google_project_iam_custom_role" "runner" {
  for_each = local.runner_permissions

  project     = var.gke_project
  role_id     = "aelp2_${each.key}"
  title       = "AELP2: ${local.needs[each.key].title}"
  description = local.needs[each.key].runner_project.why
  permissions = each.value

  depends_on = [google_project_service.api]
}

resource "google_project_iam_member" "runner_custom" {
  for_each = local.runner_permissions

  project = var.gke_project
  role    = "projects/${var.gke_project}/roles/${google_project_iam_custom_role.runner[each.key].role_id}"
  member  = local.member[each.key]

  depends_on = [google_service_account.aelp2]
}

resource "kubernetes_namespace_v1" "role" {
  for_each = local.runner_namespaces

  metadata {
    name = each.value.account
    labels = {
      app = "aelp2"
      # Every pod meets it, the sidecar too (tests/pods/test_composer_limits.py); whoever else could start one here has to.
      "pod-security.kubernetes.io/enforce" = "restricted"
    }
  }
}

resource "kubernetes_service_account_v1" "role" {
  for_each = local.runner_namespaces

  metadata {
    name        = each.value.account
    namespace   = kubernetes_namespace_v1.role[each.key].metadata[0].name
    annotations = { "iam.gke.io/gcp-service-account" = trimprefix(local.member[each.key], "serviceAccount:") }
  }
}

resource "google_service_account_iam_member" "workload_identity" {
  for_each = local.runner_namespaces

  service_account_id = google_service_account.aelp2[each.key].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${var.gke_project}.svc.id.goog[${each.value.account}/${each.value.account}]"

  depends_on = [google_container_cluster.runner] # which makes the identity pool
}

resource "kubernetes_config_map_v1" "role" {
  for_each = merge([
    for role in keys(local.runner_namespaces) : { for name, data in local.config_maps : "${role}/${name}" => { role = role, name = name, data = data } }
  ]...)

  metadata {
    name      = each.value.name
    namespace = kubernetes_namespace_v1.role[each.value.role].metadata[0].name
  }

  data = each.value.data
}

# What Airflow does in a namespace: start a pod, look at it, mark it as looked at, delete it, read its log and events; and where
# jobs hand a value over, read it from the sidecar. It reads no Secret and no ConfigMap and changes nothing else.
resource "kubernetes_role_v1" "composer" {
  for_each = local.runner_namespaces

  metadata {
    name      = "aelp2-composer"
    namespace = kubernetes_namespace_v1.role[each.key].metadata[0].name
  }

  rule {
    api_groups = [""]
    resources  = ["pods"]
    verbs      = ["create", "delete", "get", "list", "patch", "watch"]
  }
  rule {
    api_groups = [""]
    resources  = ["pods/log"]
    verbs      = ["get"]
  }
  rule {
    api_groups = [""]
    resources  = ["events"]
    verbs      = ["get", "list", "watch"]
  }
  dynamic "rule" {
    for_each = each.value.exec ? ["pods/exec"] : []

    content {
      api_groups = [""]
      resources  = [rule.value]
      verbs      = ["create", "get"]
    }
  }
}

resource "kubernetes_role_binding_v1" "composer" {
  for_each = local.runner_namespaces

  metadata {
    name      = "aelp2-composer"
    namespace = kubernetes_namespace_v1.role[each.key].metadata[0].name
  }

  role_ref {
    api_group = "rbac.authorization.k8s.io"
    kind      = "Role"
    name      = kubernetes_role_v1.composer[each.key].metadata[0].name
  }

  subject {
    api_group = "rbac.authorization.k8s.io"
    kind      = "User"
    name      = trimprefix(local.member.composer, "serviceAccount:")
  }
}
