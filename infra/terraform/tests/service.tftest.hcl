# A whole deployment: model, GPU tier, alerts, budget, triggers.
mock_provider "google" {
  override_resource {
    target = google_service_account.gateway
    values = {
      email  = "memory-ops-gateway@some-project.iam.gserviceaccount.com"
      member = "serviceAccount:memory-ops-gateway@some-project.iam.gserviceaccount.com"
      name   = "projects/some-project/serviceAccounts/memory-ops-gateway@some-project.iam.gserviceaccount.com"
    }
  }
  override_resource {
    target = google_service_account.cleanup
    values = {
      email  = "memory-ops-cleanup@some-project.iam.gserviceaccount.com"
      member = "serviceAccount:memory-ops-cleanup@some-project.iam.gserviceaccount.com"
      name   = "projects/some-project/serviceAccounts/memory-ops-cleanup@some-project.iam.gserviceaccount.com"
    }
  }
  override_resource {
    target = google_service_account.scheduler
    values = {
      email  = "memory-ops-scheduler@some-project.iam.gserviceaccount.com"
      member = "serviceAccount:memory-ops-scheduler@some-project.iam.gserviceaccount.com"
      name   = "projects/some-project/serviceAccounts/memory-ops-scheduler@some-project.iam.gserviceaccount.com"
    }
  }
  override_resource {
    target = google_cloud_run_v2_service.cleanup
    values = { uri = "https://memory-ops-cleanup-xyz.a.run.app" }
  }
  override_resource {
    target = google_cloud_run_v2_service.gateway
    values = { uri = "https://memory-ops-gateway-xyz.a.run.app" }
  }
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
}

variables {
  alert_emails     = ["somebody@example.com"]
  billing_account  = "012345-6789AB-CDEF01"
  deployer         = "memory-ops-deployer@some-project.iam.gserviceaccount.com"
  environment      = "production"
  google_client_id = "1234-abcd.apps.googleusercontent.com"
  image            = "europe-north2-docker.pkg.dev/some-project/memory-ops/service@sha256:0123456789012345678901234567890123456789012345678901234567890123"
  project          = "some-project"
  repository       = "projects/some-project/locations/europe-west1/connections/github/repositories/memory-ops"
  retriever_url    = "https://you--memory-ops-retriever-web.modal.run"
  secret_versions  = { API_KEYS = "3", MODAL_KEY = "1", MODAL_SECRET = "1", UPSTREAM_API_KEY = "2" }
  settings         = { DAILY_TOKEN_BUDGET = "200000" }
  upstream_base    = "https://api.openai.com"
}

run "services" {
  command = apply

  assert {
    condition     = google_cloud_run_v2_service.gateway[0].template[0].containers[0].image == var.image && google_cloud_run_v2_service.cleanup[0].template[0].containers[0].image == var.image
    error_message = "Both services are made of one image, by digest."
  }
  assert {
    condition = {
      for name, service in { gateway = google_cloud_run_v2_service.gateway[0], cleanup = google_cloud_run_v2_service.cleanup[0] } :
      name => one([for env in service.template[0].containers[0].env : env.value if env.name == "FUNCTION_TARGET"])
    } == { gateway = "gateway", cleanup = "cleanup" }
    error_message = "FUNCTION_TARGET is what tells them apart."
  }
  assert {
    condition     = google_cloud_run_v2_service.gateway[0].ingress == "INGRESS_TRAFFIC_ALL" && google_cloud_run_v2_service.gateway[0].invoker_iam_disabled
    error_message = "The gateway is public and signs people in itself: Cloud Run's check would strip the token's signature."
  }
  assert {
    condition     = google_cloud_run_v2_service.cleanup[0].ingress == "INGRESS_TRAFFIC_INTERNAL_ONLY" && google_cloud_run_v2_service.cleanup[0].invoker_iam_disabled == false
    error_message = "The cleanup is reached from inside, through IAM."
  }
  assert {
    condition     = google_cloud_run_v2_service.gateway[0].template[0].service_account == google_service_account.gateway.email && google_cloud_run_v2_service.cleanup[0].template[0].service_account == google_service_account.cleanup.email
    error_message = "Each service has an account of its own."
  }
  assert {
    condition = (
      google_cloud_run_v2_service.gateway[0].template[0].containers[0].resources[0].limits == tomap({ cpu = "1", memory = "1Gi" }) &&
      google_cloud_run_v2_service.gateway[0].template[0].containers[0].resources[0].startup_cpu_boost &&
      google_cloud_run_v2_service.gateway[0].template[0].scaling[0].min_instance_count == 0 &&
      google_cloud_run_v2_service.gateway[0].template[0].scaling[0].max_instance_count == 10 &&
      google_cloud_run_v2_service.gateway[0].template[0].max_instance_request_concurrency == 80 &&
      google_cloud_run_v2_service.gateway[0].template[0].timeout == "300s" &&
      google_cloud_run_v2_service.gateway[0].template[0].session_affinity
    )
    error_message = "The gateway's size is as README.md says."
  }
  assert {
    condition     = google_cloud_run_v2_service.cleanup[0].template[0].timeout == "300s" && google_cloud_run_v2_service.cleanup[0].template[0].scaling[0].min_instance_count == 0
    error_message = "A sweep has five minutes, and costs nothing between two."
  }
  assert {
    condition = alltrue([
      for service in [google_cloud_run_v2_service.gateway[0], google_cloud_run_v2_service.cleanup[0]] :
      service.template[0].containers[0].startup_probe[0].http_get[0].path == "/health"
    ])
    error_message = "A revision that does not start gets no traffic."
  }
  assert {
    condition     = google_cloud_run_v2_service.gateway[0].template[0].containers[0].liveness_probe[0].http_get[0].path == "/health"
    error_message = "An instance is asked whether it is alive, and not whether all it needs is."
  }

  assert {
    condition = {
      for env in google_cloud_run_v2_service.gateway[0].template[0].containers[0].env : env.name => env.value
      if length(env.value_source) == 0
      } == {
      BACKUP_RETENTION_DAYS = "7"
      DAILY_TOKEN_BUDGET    = "200000"
      ENVIRONMENT           = "production"
      FUNCTION_TARGET       = "gateway"
      GOOGLE_CLIENT_ID      = "1234-abcd.apps.googleusercontent.com"
      GOOGLE_CLOUD_PROJECT  = "some-project"
      RETRIEVER_URL         = "https://you--memory-ops-retriever-web.modal.run"
      STORE_URL             = "firestore://some-project/memory-ops"
      UPSTREAM_BASE         = "https://api.openai.com"
    }
    error_message = "What is set reaches the gateway."
  }
  assert {
    condition = {
      for env in google_cloud_run_v2_service.gateway[0].template[0].containers[0].env :
      env.name => "${env.value_source[0].secret_key_ref[0].secret}/${env.value_source[0].secret_key_ref[0].version}"
      if length(env.value_source) > 0
      } == {
      API_KEYS         = "memory-ops-api-keys/3"
      MODAL_KEY        = "memory-ops-modal-key/1"
      MODAL_SECRET     = "memory-ops-modal-secret/1"
      UPSTREAM_API_KEY = "memory-ops-upstream-api-key/2"
    }
    error_message = "Secrets come from Secret Manager, in pinned versions."
  }
  assert {
    condition = [
      for env in google_cloud_run_v2_service.cleanup[0].template[0].containers[0].env : env.name
      if length(env.value_source) > 0
    ] == ["UPSTREAM_API_KEY"]
    error_message = "The cleanup gets the secret it needs and no other."
  }

  assert {
    condition     = { for name, grant in google_secret_manager_secret_iam_member.gateway : name => grant.role } == { for name in ["API_KEYS", "MODAL_KEY", "MODAL_SECRET", "UPSTREAM_API_KEY"] : name => "roles/secretmanager.secretAccessor" }
    error_message = "The gateway reads its four secrets, one by one."
  }
  assert {
    condition     = keys(google_secret_manager_secret_iam_member.cleanup) == ["UPSTREAM_API_KEY"] && keys(google_secret_manager_secret_iam_member.deployer) == ["MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET", "SMOKE_KEY"]
    error_message = "Nobody reads more secrets than it needs."
  }
  assert {
    condition = alltrue([
      for grant in values(google_project_iam_member.documents) :
      grant.role == "roles/datastore.user" && grant.condition[0].expression == "resource.name == \"projects/some-project/databases/memory-ops\""
    ]) && length(google_project_iam_member.documents) == 2
    error_message = "Both accounts reach this database and no other."
  }
  assert {
    condition     = [for grant in google_cloud_run_v2_service_iam_member.cleanup : "${grant.role} ${grant.member}"] == ["roles/run.invoker serviceAccount:memory-ops-scheduler@some-project.iam.gserviceaccount.com"]
    error_message = "The scheduler alone may call the cleanup."
  }
  assert {
    condition     = alltrue([for grant in [google_service_account_iam_member.deployer_as_gateway[0], google_service_account_iam_member.deployer_as_cleanup[0], google_service_account_iam_member.deployer_as_scheduler[0]] : grant.role == "roles/iam.serviceAccountUser" && grant.member == "serviceAccount:${var.deployer}"])
    error_message = "The pipeline acts as these accounts, not as every account of the project."
  }

  assert {
    condition = { for name, job in google_cloud_scheduler_job.cleanup : name => "${job.schedule} ${job.http_target[0].http_method} ${job.http_target[0].uri}" } == {
      retention = "17 2 * * * POST https://memory-ops-cleanup-xyz.a.run.app/"
      catalogue = "7 * * * * POST https://memory-ops-cleanup-xyz.a.run.app/?task=catalogue"
    }
    error_message = "The sweep runs daily, the catalogue hourly."
  }
  assert {
    condition = alltrue([
      for job in values(google_cloud_scheduler_job.cleanup) :
      job.http_target[0].oidc_token[0].audience == "https://memory-ops-cleanup-xyz.a.run.app" &&
      job.http_target[0].oidc_token[0].service_account_email == google_service_account.scheduler.email &&
      job.attempt_deadline == google_cloud_run_v2_service.cleanup[0].template[0].timeout
    ])
    error_message = "The jobs sign in, and wait as long as a sweep may take."
  }
}

run "memory_watch_and_pipeline" {
  command = plan

  assert {
    condition = (
      google_firestore_database.memory.type == "FIRESTORE_NATIVE" &&
      google_firestore_database.memory.location_id == "europe-north2" &&
      google_firestore_database.memory.concurrency_mode == "OPTIMISTIC" &&
      google_firestore_database.memory.point_in_time_recovery_enablement == "POINT_IN_TIME_RECOVERY_ENABLED" &&
      google_firestore_database.memory.delete_protection_state == "DELETE_PROTECTION_ENABLED" &&
      google_firestore_database.memory.deletion_policy == "ABANDON"
    )
    error_message = "The memory lies in Stockholm, recoverable, and is not deleted by mistake."
  }
  assert {
    condition     = google_firestore_backup_schedule.daily.retention == "604800s"
    error_message = "Backups are kept for a week."
  }
  assert {
    condition     = alltrue([for field in values(google_firestore_field.unindexed) : field.field == "*" && length(field.index_config) == 1 && length(field.index_config[0].indexes) == 0])
    error_message = "What is never asked for has no index."
  }
  assert {
    condition     = alltrue([for field in values(google_firestore_field.id) : field.field == "`~id`" && toset([for index in field.index_config[0].indexes : index.order]) == toset(["ASCENDING", "DESCENDING"])])
    error_message = "Listing backwards needs the index on ~id."
  }
  assert {
    condition     = alltrue([for field in values(google_firestore_field.expiry) : field.field == "expires_at" && length(field.ttl_config) == 1])
    error_message = "Firestore deletes what has had its time."
  }

  assert {
    condition     = toset([for metric in concat(values(google_logging_metric.counter), values(google_logging_metric.distribution)) : metric.name]) == toset([for name in ["requests", "limiter_fail_opens", "retriever_failures", "sweep_attempts_failed", "sweep_failures", "sweeps", "request_milliseconds", "first_byte_milliseconds", "tokens_saved"] : "memory_ops_${name}"])
    error_message = "Nine metrics are counted from the logs."
  }
  assert {
    condition     = length(jsondecode(google_monitoring_dashboard.service.dashboard_json).mosaicLayout.tiles) == 12
    error_message = "The dashboard has twelve charts."
  }
  assert {
    condition = alltrue([
      for policy in concat(values(google_monitoring_alert_policy.share), google_monitoring_alert_policy.latency, google_monitoring_alert_policy.sweep) :
      length(policy.notification_channels) == 1 && length(policy.documentation[0].content) > 200
    ])
    error_message = "Every alert reaches somebody, and says what to do."
  }
  assert {
    condition     = google_billing_budget.month[0].amount[0].specified_amount[0].units == "50" && google_billing_budget.month[0].budget_filter[0].projects == toset(["projects/123456789012"])
    error_message = "The budget is this project's."
  }

  assert {
    condition     = { for name, trigger in google_cloudbuild_trigger.pipeline : name => trigger.approval_config[0].approval_required } == { pull-request = false, plan = false, release = true }
    error_message = "A release is approved by somebody."
  }
  assert {
    condition     = { for name, trigger in google_cloudbuild_trigger.pipeline : name => trigger.substitutions["_STAGE"] } == { pull-request = "pull-request", plan = "plan", release = "release" }
    error_message = "What is not a release changes nothing."
  }
  assert {
    condition = {
      for name, trigger in google_cloudbuild_trigger.pipeline : name => [
        length(trigger.repository_event_config[0].push),
        length(trigger.repository_event_config[0].pull_request),
      ]
    } == { pull-request = [0, 1], plan = [1, 0], release = [1, 0] }
    error_message = "Pull requests and pushes to main start them."
  }
  assert {
    condition     = google_cloudbuild_trigger.pipeline["pull-request"].repository_event_config[0].pull_request[0].comment_control == "COMMENTS_ENABLED"
    error_message = "Nothing proposed runs as the deployer before somebody has read it."
  }
  assert {
    condition     = length(google_artifact_registry_repository.images.cleanup_policies) == 2 && google_artifact_registry_repository.images.format == "DOCKER"
    error_message = "Old images are cleaned up."
  }
}

run "a_workspace_of_ones_own" {
  command = plan

  variables {
    settings = { GOOGLE_HOSTED_DOMAIN = "example.com" }
  }

  assert {
    condition     = alltrue([for trigger in values(google_cloudbuild_trigger.pipeline) : trigger.substitutions["_CLIENT_ID"] == ""])
    error_message = "The pipeline's account is of no Workspace domain: its smoke test signs in by a key."
  }
}

run "domain" {
  command = apply

  variables {
    armor  = true
    domain = "memory.example.com"
  }

  assert {
    condition     = google_cloud_run_v2_service.gateway[0].ingress == "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
    error_message = "Nobody goes round Cloud Armor by the run.app address."
  }
  assert {
    condition     = google_compute_backend_service.gateway["gateway"].security_policy == google_compute_security_policy.gateway["gateway"].id && google_compute_managed_ssl_certificate.gateway["gateway"].managed[0].domains == tolist(["memory.example.com"])
    error_message = "The domain has its certificate and its guard."
  }
  assert {
    condition     = output.gateway_url == "https://memory.example.com"
    error_message = "Clients use the domain."
  }
}
