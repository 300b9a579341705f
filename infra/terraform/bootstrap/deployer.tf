# The account that the pipeline runs as. It makes accounts and policies among other things, so somebody
# who writes what it runs can come by nearly anything within the project: keep a project for this alone,
# and read what a build of a proposal would run. By itself it reads no secret of the services, no memory,
# and deletes no database. Roles on the project it grants none but those that the configuration does.
resource "google_service_account" "deployer" {
  account_id   = "${var.name}-deployer"
  display_name = "${var.name}: the pipeline"

  depends_on = [google_project_service.needed]
}

locals {
  deployer_roles = toset([
    "roles/artifactregistry.admin",
    "roles/cloudbuild.builds.editor",
    "roles/cloudbuild.connectionViewer", # triggers name a connected repository
    "roles/cloudscheduler.admin",
    "roles/compute.loadBalancerAdmin",            # the optional domain
    "roles/compute.securityAdmin",                # and Cloud Armor before it
    "roles/containeranalysis.notes.editor",       # the image's bill of materials
    "roles/containeranalysis.occurrences.editor", # and what the scan found
    "roles/datastore.backupSchedulesAdmin",
    "roles/datastore.indexAdmin",
    "roles/iam.serviceAccountAdmin",
    "roles/logging.configWriter",
    "roles/logging.logWriter",
    "roles/logging.viewer", # errors of a candidate while traffic shifts to it
    "roles/monitoring.editor",
    "roles/run.admin",
    "roles/serviceusage.serviceUsageAdmin",
    "roles/storage.admin", # `gcloud artifacts sbom export` makes its bucket, and asks for this
  ])

  # Of the project's own policy; other grants stand on single resources.
  grantable_roles = ["roles/datastore.user"]
}

# What Google's roles for secrets and databases have beside it, their contents, the pipeline is not for.
# The database is made by the first apply, which is a person's.
resource "google_project_iam_custom_role" "deployer" {
  role_id     = "${replace(var.name, "-", "_")}_deployer"
  title       = "${var.name}: secrets and the database from outside"
  description = "Keeps secrets and the database's own settings without reading what is in them."

  permissions = [
    "datastore.databases.getMetadata",
    "datastore.databases.list",
    "datastore.databases.update",
    "datastore.operations.get",
    "datastore.operations.list",
    "secretmanager.secrets.create",
    "secretmanager.secrets.delete",
    "secretmanager.secrets.get",
    "secretmanager.secrets.getIamPolicy",
    "secretmanager.secrets.list",
    "secretmanager.secrets.setIamPolicy",
    "secretmanager.secrets.update",
  ]

  depends_on = [google_project_service.needed]
}

resource "google_project_iam_member" "deployer_keeps" {
  project = var.project
  role    = google_project_iam_custom_role.deployer.id
  member  = google_service_account.deployer.member
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
