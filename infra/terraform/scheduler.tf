# Who calls the cleanup, and when. Cloud Scheduler counts as internal traffic of its own project.
resource "google_service_account" "scheduler" {
  account_id   = "${var.name}-scheduler"
  display_name = "${var.name}: calls the cleanup"
}

locals {
  jobs = {
    retention = {
      schedule    = var.retention_schedule
      path        = "/"
      description = "Archives what no longer matters, deletes what has had its time."
    }
    catalogue = {
      schedule    = "7 * * * *"
      path        = "/?task=catalogue"
      description = "Stores the upstream's list of models for when the upstream is away."
    }
  }
}

resource "google_cloud_scheduler_job" "cleanup" {
  for_each = var.image == "" ? {} : local.jobs

  name             = "${var.name}-${each.key}"
  region           = var.support_region
  description      = each.value.description
  schedule         = each.value.schedule
  time_zone        = "Etc/UTC"
  attempt_deadline = "${var.cleanup_timeout_seconds}s"

  # A run that another one holds the lease against answers 409: it has passed by the next try.
  retry_config {
    retry_count          = 3
    min_backoff_duration = "60s"
    max_backoff_duration = "600s"
  }

  http_target {
    http_method = "POST"
    uri         = "${google_cloud_run_v2_service.cleanup[0].uri}${each.value.path}"

    oidc_token {
      service_account_email = google_service_account.scheduler.email
      audience              = google_cloud_run_v2_service.cleanup[0].uri
    }
  }

  depends_on = [google_cloud_run_v2_service_iam_member.cleanup]
}

# Who makes a job that signs as an account has to be allowed to act as it.
resource "google_service_account_iam_member" "deployer_as_scheduler" {
  count = var.deployer == "" ? 0 : 1

  service_account_id = google_service_account.scheduler.name
  role               = "roles/iam.serviceAccountUser"
  member             = "serviceAccount:${var.deployer}"
}
