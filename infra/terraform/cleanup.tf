# The same image with another entry point: the sweep, and the list of models. Asks for no credential
# itself, so Cloud Run's check and its network are its door, and both stay shut.
resource "google_service_account" "cleanup" {
  account_id   = "${var.name}-cleanup"
  display_name = "${var.name}: the scheduled cleanup"
}

resource "google_cloud_run_v2_service" "cleanup" {
  count = var.image == "" ? 0 : 1

  name                 = "${var.name}-cleanup"
  location             = var.region
  ingress              = "INGRESS_TRAFFIC_INTERNAL_ONLY"
  invoker_iam_disabled = false
  deletion_protection  = var.deletion_protection

  template {
    service_account                  = google_service_account.cleanup.email
    timeout                          = "${var.cleanup_timeout_seconds}s"
    max_instance_request_concurrency = 1 # a lease lets one sweep run; the models may be fetched beside it
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"

    scaling {
      min_instance_count = 0
      max_instance_count = 2
    }

    containers {
      image = var.image

      resources {
        limits = {
          cpu    = "1"
          memory = "512Mi" # a sweep takes at most 39 MiB beside the process (ARCHITECTURE.md)
        }
        cpu_idle          = true
        startup_cpu_boost = true
      }

      env {
        name  = "FUNCTION_TARGET"
        value = "cleanup"
      }
      dynamic "env" {
        for_each = local.environment
        content {
          name  = env.key
          value = env.value
        }
      }
      dynamic "env" {
        for_each = local.cleanup_secrets
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
    }
  }

  lifecycle {
    ignore_changes = [
      client,
      client_version,
      template[0].containers[0].image,
      template[0].labels, # gcloud's, which make each deployment a revision of its own
      traffic,
    ]

    precondition {
      condition     = tonumber(lookup(var.settings, "RETENTION_TIME_BUDGET_SECONDS", "240")) + 60 <= var.cleanup_timeout_seconds
      error_message = "A sweep stops by itself after RETENTION_TIME_BUDGET_SECONDS: cleanup_timeout_seconds has to leave it a minute more, or Cloud Run cuts it off."
    }
  }

  depends_on = [
    google_project_iam_member.documents,
    google_secret_manager_secret_iam_member.cleanup,
  ]
}

resource "google_cloud_run_v2_service_iam_member" "cleanup" {
  for_each = var.image == "" ? toset([]) : toset(concat(
    ["serviceAccount:${google_service_account.scheduler.account_id}@${var.project}.iam.gserviceaccount.com"],
    var.cleanup_invokers,
  ))

  name     = google_cloud_run_v2_service.cleanup[0].name
  location = var.region
  role     = "roles/run.invoker"
  member   = each.key
}

resource "google_service_account_iam_member" "deployer_as_cleanup" {
  count = var.deployer == "" ? 0 : 1

  service_account_id = google_service_account.cleanup.name
  role               = "roles/iam.serviceAccountUser"
  member             = "serviceAccount:${var.deployer}"
}
