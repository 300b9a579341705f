# Secrets have no values here: `gcloud secrets versions add NAME --data-file=-` gives them one, and a
# number in `secret_versions` lets a service read it. A pinned number makes a rotation a change that
# is planned, and a roll-back one that works.
locals {
  # Settings of the service; gateway and cleanup each get only what they use.
  secret_settings = {
    API_KEYS                   = "api-keys"
    METRICS_TOKEN              = "metrics-token"
    MODAL_KEY                  = "modal-key"
    MODAL_SECRET               = "modal-secret"
    OTEL_EXPORTER_OTLP_HEADERS = "otlp-headers"
    UPSTREAM_API_KEY           = "upstream-api-key"
    UPSTREAMS                  = "upstreams"
  }

  # What the build deploys the GPU tier with, and signs in with where it cannot by an ID token. Never a
  # service's.
  build_secrets = {
    MODAL_TOKEN_ID     = "modal-token-id"
    MODAL_TOKEN_SECRET = "modal-token-secret"
    SMOKE_KEY          = "smoke-key"
  }

  pinned = { for name, version in var.secret_versions : name => version if version != "" }

  gateway_secrets = local.pinned

  # A list of models needs the upstreams' keys. Without a client id the API keys are the way to sign
  # in that the service refuses to start without, even where nobody signs in.
  cleanup_secrets = {
    for name, version in local.pinned : name => version
    if contains(["OTEL_EXPORTER_OTLP_HEADERS", "UPSTREAM_API_KEY", "UPSTREAMS"], name) || (name == "API_KEYS" && var.google_client_id == "")
  }
}

resource "google_secret_manager_secret" "setting" {
  for_each = merge(local.secret_settings, local.build_secrets)

  secret_id           = "${var.name}-${each.value}"
  deletion_protection = var.deletion_protection

  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }

  depends_on = [google_project_service.needed]
}

resource "google_secret_manager_secret_iam_member" "gateway" {
  for_each = local.gateway_secrets

  secret_id = google_secret_manager_secret.setting[each.key].id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.gateway.member
}

resource "google_secret_manager_secret_iam_member" "cleanup" {
  for_each = local.cleanup_secrets

  secret_id = google_secret_manager_secret.setting[each.key].id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.cleanup.member
}

resource "google_secret_manager_secret_iam_member" "deployer" {
  for_each = var.deployer == "" ? {} : local.build_secrets

  secret_id = google_secret_manager_secret.setting[each.key].id
  role      = "roles/secretmanager.secretAccessor"
  member    = "serviceAccount:${var.deployer}"
}
