locals {
  apis = concat(
    [
      "artifactregistry.googleapis.com",
      "cloudbuild.googleapis.com",
      "cloudscheduler.googleapis.com",
      "containerscanning.googleapis.com", # the build's vulnerability gate reads what it finds
      "firestore.googleapis.com",
      "iam.googleapis.com",
      "iamcredentials.googleapis.com",
      "logging.googleapis.com",
      "monitoring.googleapis.com",
      "run.googleapis.com",
      "secretmanager.googleapis.com",
    ],
    var.billing_account == "" ? [] : ["billingbudgets.googleapis.com"],
    var.domain == "" ? [] : ["compute.googleapis.com"],
  )
}

resource "google_project_service" "needed" {
  for_each = toset(local.apis)

  service            = each.key
  disable_on_destroy = false # others in the project may use it
}
