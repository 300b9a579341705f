# The account that the pipeline runs as. It makes everything that the configuration names, accounts and
# secrets among it, so it may do nearly anything within the project: keep a project for this alone.
# Roles on the project itself it grants none but those that the configuration does.
resource "google_service_account" "deployer" {
  account_id   = "${var.name}-deployer"
  display_name = "${var.name}: the pipeline"

  depends_on = [google_project_service.needed]
}

locals {
  deployer_roles = toset([
    "roles/artifactregistry.admin",
    "roles/cloudbuild.builds.editor",
    "roles/cloudscheduler.admin",
    "roles/compute.loadBalancerAdmin",            # the optional domain
    "roles/compute.securityAdmin",                # and Cloud Armor before it
    "roles/containeranalysis.notes.editor",       # the image's bill of materials
    "roles/containeranalysis.occurrences.editor", # and what the scan found
    "roles/datastore.owner",
    "roles/iam.serviceAccountAdmin",
    "roles/logging.configWriter",
    "roles/logging.logWriter",
    "roles/logging.viewer", # errors of a candidate while traffic shifts to it
    "roles/monitoring.editor",
    "roles/run.admin",
    "roles/secretmanager.admin",
    "roles/serviceusage.serviceUsageAdmin",
  ])

  # Of the project's own policy; other grants stand on single resources.
  grantable_roles = ["roles/datastore.user"]
}

resource "google_project_iam_member" "deployer" {
  for_each = local.deployer_roles

  project = var.project
  role    = each.key
  member  = google_service_account.deployer.member
}

resource "google_project_iam_member" "deployer_grants" {
  project = var.project
  role    = "roles/resourcemanager.projectIamAdmin"
  member  = google_service_account.deployer.member

  condition {
    title       = "only-what-is-declared"
    description = "Grants and takes the roles of the service's accounts, and no others."
    expression = join("", [
      "api.getAttribute('iam.googleapis.com/modifiedGrantsByRole', []).hasOnly(['",
      join("', '", local.grantable_roles),
      "'])",
    ])
  }
}

# Its triggers run as itself, and the smoke test signs in as it.
resource "google_service_account_iam_member" "deployer_as_itself" {
  for_each = toset(["roles/iam.serviceAccountTokenCreator", "roles/iam.serviceAccountUser"])

  service_account_id = google_service_account.deployer.name
  role               = each.key
  member             = google_service_account.deployer.member
}
