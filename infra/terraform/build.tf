# From commit to traffic: cloudbuild.yaml in three stages. A pull request is checked and planned and
# changes nothing; so is what is pushed to main; and its release is the same commit once more, which
# waits until somebody who has read that plan approves.
#
# All three run as the deployer, and a proposal may change what a build does. So nothing of it runs
# before somebody of the repository's own has read it and commented /gcbrun; GitHub's workflow, which
# may do nothing here, tests it meanwhile.
locals {
  # A service account belongs to no Workspace domain: there the smoke test signs in by an API key.
  smoke_by_key = lookup(var.settings, "GOOGLE_HOSTED_DOMAIN", "") != ""

  stages = {
    pull-request = "Checks what somebody proposes, and plans it."
    plan         = "Checks what was pushed to main, and plans it."
    release      = "Applies what was planned for main and releases it, once approved."
  }
}

resource "google_cloudbuild_trigger" "pipeline" {
  for_each = var.repository == "" ? {} : local.stages

  name            = "${var.name}-${each.key}"
  location        = var.support_region
  description     = each.value
  filename        = "cloudbuild.yaml"
  service_account = "projects/${var.project}/serviceAccounts/${var.deployer}"

  repository_event_config {
    repository = var.repository

    dynamic "push" {
      for_each = each.key == "pull-request" ? [] : ["^main$"]
      content {
        branch = push.value
      }
    }
    dynamic "pull_request" {
      for_each = each.key == "pull-request" ? ["^main$"] : []
      content {
        branch          = pull_request.value
        comment_control = "COMMENTS_ENABLED"
      }
    }
  }

  approval_config {
    approval_required = each.key == "release"
  }

  substitutions = merge(var.substitutions, {
    _CLIENT_ID    = local.smoke_by_key ? "" : trimspace(split(",", var.google_client_id)[0])
    _DEPLOYER     = var.deployer
    _ENVIRONMENT  = var.environment
    _NAME         = var.name
    _REGION       = var.region
    _STAGE        = each.key
    _STATE_BUCKET = "${var.project}-${var.name}-state" # bootstrap's
  })

  depends_on = [google_project_service.needed]
}
