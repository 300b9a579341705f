# Before the first build: no image, no secret has a value, nobody connected a repository.
mock_provider "google" {}

variables {
  environment      = "production"
  google_client_id = "1234-abcd.apps.googleusercontent.com"
  image            = ""
  project          = "some-project"
}

run "first_apply" {
  command = plan

  assert {
    condition     = length(google_cloud_run_v2_service.gateway) + length(google_cloud_run_v2_service.cleanup) + length(google_cloud_scheduler_job.cleanup) + length(google_cloud_run_v2_service_iam_member.cleanup) == 0
    error_message = "Without an image there is nothing to run."
  }
  assert {
    condition     = length(google_monitoring_alert_policy.share) + length(google_monitoring_alert_policy.latency) + length(google_monitoring_alert_policy.sweep) == 0
    error_message = "Nor anything to watch: the metrics are too young for an alert."
  }
  assert {
    condition     = length(google_secret_manager_secret.setting) == 10 && length(google_secret_manager_secret_iam_member.gateway) == 0
    error_message = "The secrets wait for their values."
  }
  assert {
    condition     = length(google_billing_budget.month) + length(google_cloudbuild_trigger.pipeline) + length(google_compute_global_address.gateway) + length(google_compute_security_policy.gateway) == 0
    error_message = "What was not asked for is not made, nor billed."
  }
  assert {
    condition     = output.image_repository == "europe-north2-docker.pkg.dev/some-project/memory-ops" && output.gateway_url == null
    error_message = "The outputs say where the image goes."
  }
  assert {
    condition     = output.secrets["UPSTREAM_API_KEY"] == "memory-ops-upstream-api-key"
    error_message = "The outputs name the secrets to fill."
  }
}

run "preview_by_api_keys" {
  command = plan

  variables {
    google_client_id = ""
    image            = "europe-north2-docker.pkg.dev/some-project/memory-ops/service@sha256:0123456789012345678901234567890123456789012345678901234567890123"
    secret_versions  = { API_KEYS = "1" }
  }

  assert {
    condition     = keys(google_secret_manager_secret_iam_member.cleanup) == ["API_KEYS"]
    error_message = "Without a client id the cleanup needs the API keys, or it refuses to start."
  }
}

run "teardown" {
  command = plan

  variables {
    deletion_protection    = false
    point_in_time_recovery = false
    backup_retention_days  = 2
  }

  assert {
    condition     = google_firestore_database.memory.deletion_policy == "DELETE" && google_firestore_database.memory.delete_protection_state == "DELETE_PROTECTION_DISABLED"
    error_message = "What is unprotected goes with `terraform destroy`."
  }
  assert {
    condition     = local.wired_settings.BACKUP_RETENTION_DAYS == "2"
    error_message = "Erasures state how long backups remember."
  }
}
