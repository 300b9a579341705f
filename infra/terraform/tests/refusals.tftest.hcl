# What a plan refuses, before anything is made.
mock_provider "google" {}

variables {
  environment      = "production"
  google_client_id = "1234-abcd.apps.googleusercontent.com"
  image            = "europe-north2-docker.pkg.dev/some-project/memory-ops/service@sha256:0123456789012345678901234567890123456789012345678901234567890123"
  project          = "some-project"
}

run "a_missing_client_id" {
  command = plan

  variables {
    google_client_id = ""
  }

  expect_failures = [var.google_client_id]
}

run "a_public_cleanup" {
  command = plan

  variables {
    cleanup_invokers = ["allUsers"]
  }

  expect_failures = [var.cleanup_invokers]
}

run "a_cleanup_for_a_whole_domain" {
  command = plan

  variables {
    cleanup_invokers = ["serviceAccount:somebody@some-project.iam.gserviceaccount.com", "domain:example.com"]
  }

  expect_failures = [var.cleanup_invokers]
}

run "a_cleanup_for_every_account_of_the_world" {
  command = plan

  variables {
    cleanup_invokers = ["allAuthenticatedUsers"]
    settings         = { DEVELOPMENT_ISSUER = "true" }
  }

  expect_failures = [
    var.cleanup_invokers,
    var.settings,
  ]
}

run "what_would_travel_in_the_clear" {
  command = plan

  variables {
    retriever_url = "http://10.0.0.1:8090"
    upstream_base = "http://api.openai.com"
  }

  expect_failures = [
    var.retriever_url,
    var.upstream_base,
  ]
}

run "credentials_where_none_belong" {
  command = plan

  variables {
    settings         = { UPSTREAM_API_KEY = "sk-1" }
    google_client_id = "somebody@example.com"
    upstream_base    = "https://key@api.openai.com"
  }

  expect_failures = [
    var.settings,
    var.google_client_id,
    var.upstream_base,
  ]
}

run "what_may_mean_another_thing_tomorrow" {
  command = plan

  variables {
    image           = "europe-north2-docker.pkg.dev/some-project/memory-ops/service:latest"
    secret_versions = { API_KEYS = "latest" }
  }

  expect_failures = [
    var.image,
    var.secret_versions,
  ]
}

run "names_nobody_knows" {
  command = plan

  variables {
    environment     = "prod"
    project         = "123456789012"
    secret_versions = { API_KEY = "1" }
    settings        = { TOKEN_BUDGET = "1" }
    substitutions   = { _STAGE = "release" }
  }

  expect_failures = [
    var.environment,
    var.project,
    var.secret_versions,
    var.settings,
    var.substitutions,
  ]
}

run "numbers_that_do_not_fit" {
  command = plan

  variables {
    backup_retention_days   = 365
    cleanup_timeout_seconds = 60
    max_instances           = 0
    name                    = "memory-ops-of-the-whole-company"
    timeout_seconds         = 600
  }

  expect_failures = [
    var.backup_retention_days,
    var.cleanup_timeout_seconds,
    var.max_instances,
    var.name,
    var.timeout_seconds,
  ]
}

run "halves_of_what_belongs_together" {
  command = plan

  variables {
    armor      = true
    repository = "projects/p/locations/l/connections/c/repositories/r"
  }

  expect_failures = [
    var.armor,
    var.repository,
  ]
}

run "a_sweep_longer_than_its_request" {
  command = plan

  variables {
    settings = { RETENTION_TIME_BUDGET_SECONDS = "290" }
  }

  expect_failures = [google_cloud_run_v2_service.cleanup]
}

run "a_gpu_tier_without_its_token" {
  command = plan

  variables {
    retriever_url = "https://you.modal.run"
  }

  expect_failures = [google_cloud_run_v2_service.gateway]
}
