# What has to be there before Terraform can keep its state, and before a pipeline can run it. Applied
# once by the project's owner; its own state stays in this folder and may be lost: every resource can be
# imported by name.
locals {
  apis = [
    "cloudbuild.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "iam.googleapis.com",
    "serviceusage.googleapis.com",
    "storage.googleapis.com",
  ]
}

resource "google_project_service" "needed" {
  for_each = toset(local.apis)

  service            = each.key
  disable_on_destroy = false
}

resource "google_storage_bucket" "state" {
  name     = "${var.project}-${var.name}-state" # buckets' names are the world's, projects' ids too
  location = var.region

  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = false

  versioning {
    enabled = true
  }
  lifecycle_rule {
    condition {
      num_newer_versions = 20
      with_state         = "ARCHIVED"
    }
    action {
      type = "Delete"
    }
  }

  depends_on = [google_project_service.needed]
}

resource "google_storage_bucket_iam_member" "deployer" {
  bucket = google_storage_bucket.state.name
  role   = "roles/storage.objectAdmin"
  member = google_service_account.deployer.member
}
