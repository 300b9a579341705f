# The public service: signs people in itself.
resource "google_service_account" "gateway" {
  account_id   = "${var.name}-gateway"
  display_name = "${var.name}: the public gateway"
}

resource "google_cloud_run_v2_service" "gateway" {
  count = var.image == "" ? 0 : 1 # before the first build there is nothing to run

  name     = "${var.name}-gateway"
  location = var.region
  ingress  = var.armor ? "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER" : "INGRESS_TRAFFIC_ALL"

  # Cloud Run's own check would take the signature off the caller's token, which the gateway verifies
  # itself (https://cloud.google.com/run/docs/authenticating/public).
  invoker_iam_disabled = true
  deletion_protection  = var.deletion_protection

  template {
    service_account                  = google_service_account.gateway.email
    timeout                          = "${var.timeout_seconds}s"
    max_instance_request_concurrency = var.concurrency
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"

    # Weighed: an instance that knows a person reads 2 documents a turn instead of up to 10, and
    # clients that keep cookies (the openai package among them) come back to it. Nothing is wrong
    # where they do not, and a full instance loses its regulars to another.
    session_affinity = true

    scaling {
      min_instance_count = var.min_instances
      max_instance_count = var.max_instances
    }

    containers {
      image = var.image

      resources {
        limits = {
          cpu    = "1"
          memory = var.memory
        }
        cpu_idle          = true # billed for requests alone
        startup_cpu_boost = true
      }

      env {
        name  = "FUNCTION_TARGET"
        value = "gateway"
      }
      dynamic "env" {
        for_each = local.environment
        content {
          name  = env.key
          value = env.value
        }
      }
      dynamic "env" {
        for_each = local.gateway_secrets
        content {
          name = env.key
          value_source {
            secret_key_ref {
              secret  = google_secret_manager_secret.setting[env.key].secret_id
              version = env.value
            }
          }
        }
      }

      startup_probe {
        period_seconds    = 1
        timeout_seconds   = 1
        failure_threshold = 30
        http_get {
          path = "/health"
        }
      }
      liveness_probe {
        period_seconds    = 30
        timeout_seconds   = 5
        failure_threshold = 3
        http_get {
          path = "/health"
        }
      }
    }
  }

  lifecycle {
    # The pipeline's: it deploys an image without traffic and shifts traffic to it. What is changed
    # here waits in a revision of its own for the pipeline's next run.
    ignore_changes = [
      client,
      client_version,
      template[0].containers[0].image,
      template[0].labels, # gcloud's, which make each deployment a revision of its own
      traffic,
    ]

    precondition {
      condition     = startswith(var.retriever_url, "lexical:") || (contains(keys(local.pinned), "MODAL_KEY") && contains(keys(local.pinned), "MODAL_SECRET"))
      error_message = "The GPU tier at retriever_url asks for a proxy auth token: pin versions of MODAL_KEY and MODAL_SECRET in secret_versions."
    }
  }

  depends_on = [
    google_project_iam_member.documents,
    google_secret_manager_secret_iam_member.gateway,
  ]
}

# Deploying a service as an account takes permission to act as it.
resource "google_service_account_iam_member" "deployer_as_gateway" {
  count = var.deployer == "" ? 0 : 1

  service_account_id = google_service_account.gateway.name
  role               = "roles/iam.serviceAccountUser"
  member             = "serviceAccount:${var.deployer}"
}
