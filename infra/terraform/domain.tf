# A name of one's own, and Cloud Armor before it. A load balancer costs about $18 a month idle: without
# `domain` there is none, and the run.app address serves.
locals {
  with_domain = var.domain != "" && var.image != ""
  domain      = local.with_domain ? { gateway = var.domain } : {}
  armor       = local.with_domain && var.armor ? { gateway = var.domain } : {}
}

resource "google_compute_global_address" "gateway" {
  for_each = local.domain

  name = "${var.name}-gateway"

  depends_on = [google_project_service.needed]
}

resource "google_compute_managed_ssl_certificate" "gateway" {
  for_each = local.domain

  # A certificate cannot be changed, and is in use until its successor is: its name tells them apart.
  name = trimsuffix(substr("${var.name}-${replace(each.value, ".", "-")}", 0, 63), "-")

  managed {
    domains = [each.value]
  }

  lifecycle {
    create_before_destroy = true
  }

  depends_on = [google_project_service.needed]
}

resource "google_compute_region_network_endpoint_group" "gateway" {
  for_each = local.domain

  name                  = "${var.name}-gateway"
  region                = var.region
  network_endpoint_type = "SERVERLESS"

  cloud_run {
    service = google_cloud_run_v2_service.gateway[0].name
  }
}

resource "google_compute_backend_service" "gateway" {
  for_each = local.domain

  name                  = "${var.name}-gateway"
  protocol              = "HTTPS"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  security_policy       = one([for policy in google_compute_security_policy.gateway : policy.id])

  backend {
    group = google_compute_region_network_endpoint_group.gateway[each.key].id
  }
}

resource "google_compute_url_map" "gateway" {
  for_each = local.domain

  name            = "${var.name}-gateway"
  default_service = google_compute_backend_service.gateway[each.key].id
}

resource "google_compute_target_https_proxy" "gateway" {
  for_each = local.domain

  name             = "${var.name}-gateway"
  url_map          = google_compute_url_map.gateway[each.key].id
  ssl_certificates = [google_compute_managed_ssl_certificate.gateway[each.key].id]
}

resource "google_compute_global_forwarding_rule" "gateway" {
  for_each = local.domain

  name                  = "${var.name}-gateway"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.gateway[each.key].id
  port_range            = "443"
  target                = google_compute_target_https_proxy.gateway[each.key].id
}

# Floods from one address end here, before an instance is paid for. Who somebody is and what they may
# do, the gateway decides. No rules about contents: prompts look like attacks.
resource "google_compute_security_policy" "gateway" {
  for_each = local.armor

  name = "${var.name}-gateway"

  rule {
    description = "No more than 600 requests a minute from one address."
    action      = "throttle"
    priority    = 1000

    match {
      versioned_expr = "SRC_IPS_V1"
      config {
        src_ip_ranges = ["*"]
      }
    }
    rate_limit_options {
      conform_action = "allow"
      exceed_action  = "deny(429)"
      enforce_on_key = "IP"
      rate_limit_threshold {
        count        = 600
        interval_sec = 60
      }
    }
  }

  rule {
    description = "Everybody else may come."
    action      = "allow"
    priority    = 2147483647

    match {
      versioned_expr = "SRC_IPS_V1"
      config {
        src_ip_ranges = ["*"]
      }
    }
  }

  depends_on = [google_project_service.needed]
}
