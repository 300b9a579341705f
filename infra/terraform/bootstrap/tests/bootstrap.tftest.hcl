mock_provider "google" {}

variables {
  project = "some-project"
}

run "the_state_and_its_keeper" {
  command = apply

  assert {
    condition     = output.state_bucket == "some-project-memory-ops-state" && google_storage_bucket.state.versioning[0].enabled
    error_message = "Former states are kept."
  }
  assert {
    condition     = google_storage_bucket.state.public_access_prevention == "enforced" && google_storage_bucket.state.uniform_bucket_level_access
    error_message = "The state is nobody else's."
  }
  assert {
    condition     = length(setintersection([for grant in google_project_iam_member.deployer : grant.role], ["roles/owner", "roles/editor", "roles/resourcemanager.projectIamAdmin"])) == 0
    error_message = "The pipeline's account owns nothing outright."
  }
  assert {
    condition     = length(setintersection([for grant in google_project_iam_member.deployer : grant.role], ["roles/secretmanager.admin", "roles/datastore.owner", "roles/datastore.user"])) == 0
    error_message = "No role of the pipeline's reads every secret, or the memories."
  }
  assert {
    condition     = alltrue([for permission in google_project_iam_custom_role.deployer.permissions : !can(regex("versions|entities|databases\\.(get|delete|export)$", permission))])
    error_message = "What it keeps it does not read, and it deletes no database."
  }
  assert {
    condition     = google_project_iam_member.deployer_grants.condition[0].expression == "api.getAttribute('iam.googleapis.com/modifiedGrantsByRole', []).hasOnly(['roles/datastore.user'])"
    error_message = "The pipeline grants what is declared and no more."
  }
}

run "a_project_by_number" {
  command = plan

  variables {
    project = "123456789012"
  }

  expect_failures = [var.project]
}
