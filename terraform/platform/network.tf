# One network for Composer and one for the runner's cluster, in their own projects. Nothing has a public address: Google's APIs
# are reached privately, the ad platforms through Cloud NAT. The networks are not joined: Composer reaches the cluster by its DNS
# endpoint, which is an address of Google's.
locals {
  networks = merge(
    { composer = { project = var.project, range = "10.20.0.0/22", secondary = {} } },
    local.on_gke ? {
      runner = { project = var.gke_project, range = "10.30.0.0/22", secondary = { pods = "10.32.0.0/17", services = "10.33.0.0/20" } }
    } : {}
  )
}

resource "google_compute_network" "aelp2" {
  for_each = local.networks

  project                 = each.value.project
  name                    = "aelp2-${each.key}"
  auto_create_subnetworks = false

  depends_on = [google_project_service.api]
}

resource "google_compute_subnetwork" "aelp2" {
  for_each = local.networks

  project                  = each.value.project
  region                   = var.region
  name                     = "aelp2-${each.key}"
  network                  = google_compute_network.aelp2[each.key].id
  ip_cidr_range            = each.value.range
  private_ip_google_access = true

  dynamic "secondary_ip_range" {
    for_each = each.value.secondary

    content {
      range_name    = secondary_ip_range.key
      ip_cidr_range = secondary_ip_range.value
    }
  }

  log_config {
    aggregation_interval = "INTERVAL_10_MIN"
    flow_sampling        = 0.1
    metadata             = "INCLUDE_ALL_METADATA"
  }
}

# Said aloud: nobody comes in. GKE adds what its own nodes need between each other, with a higher priority.
resource "google_compute_firewall" "deny_ingress" {
  for_each = local.networks

  project       = each.value.project
  name          = "aelp2-${each.key}-deny-ingress"
  network       = google_compute_network.aelp2[each.key].name
  direction     = "INGRESS"
  priority      = 65534
  source_ranges = ["0.0.0.0/0"]

  deny {
    protocol = "all"
  }

  log_config {
    metadata = "INCLUDE_ALL_METADATA"
  }
}

resource "google_compute_router" "aelp2" {
  for_each = local.networks

  project = each.value.project
  region  = var.region
  name    = "aelp2-${each.key}"
  network = google_compute_network.aelp2[each.key].id
}

resource "google_compute_router_nat" "aelp2" {
  for_each = local.networks

  project                            = each.value.project
  region                             = var.region
  name                               = "aelp2-${each.key}"
  router                             = google_compute_router.aelp2[each.key].name
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "ALL_SUBNETWORKS_ALL_IP_RANGES"

  log_config {
    enable = true
    filter = "ERRORS_ONLY"
  }
}
