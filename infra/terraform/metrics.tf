# Counted from the service's own log lines (functions/gateway/telemetry/lines.py, retrieval/remote.py,
# limits/limiter.py, retention/sweep.py). tests/infra compares events and fields with the code's.
locals {
  metric_prefix = replace(var.name, "-", "_")
  gateway_logs  = "resource.type=\"cloud_run_revision\" resource.labels.service_name=\"${var.name}-gateway\""
  cleanup_logs  = "resource.type=\"cloud_run_revision\" resource.labels.service_name=\"${var.name}-cleanup\""
  answers       = "${local.gateway_logs} jsonPayload.event=\"api_request\""

  sweep_attempts = join(" ", [
    "resource.type=\"cloud_scheduler_job\" resource.labels.job_id=\"${var.name}-retention\"",
    "jsonPayload.\"@type\"=\"type.googleapis.com/google.cloud.scheduler.logging.AttemptFinished\"",
  ])

  request_labels = {
    endpoint  = "EXTRACT(jsonPayload.endpoint)"
    retriever = "EXTRACT(jsonPayload.retriever)"
    status    = "EXTRACT(jsonPayload.status)"
  }

  counters = {
    requests = {
      filter = local.answers
      labels = local.request_labels
    }
    limiter_fail_opens = {
      filter = "${local.gateway_logs} jsonPayload.event=\"limiter_fail_open\""
      labels = {}
    }
    retriever_failures = {
      filter = "${local.gateway_logs} jsonPayload.event=\"retriever_failure\""
      labels = {
        call   = "EXTRACT(jsonPayload.call)"
        reason = "EXTRACT(jsonPayload.reason)"
      }
    }
    sweep_attempts_failed = {
      filter = "${local.sweep_attempts} NOT httpRequest.status=200"
      labels = {}
    }
    sweep_failures = {
      filter = "${local.cleanup_logs} jsonPayload.event=\"retention_failed\""
      labels = { error = "EXTRACT(jsonPayload.error)" }
    }
    sweeps = {
      filter = "${local.sweep_attempts} httpRequest.status=200"
      labels = {}
    }
  }

  distributions = {
    request_milliseconds = {
      filter = local.answers
      value  = "EXTRACT(jsonPayload.duration_ms)"
      unit   = "ms"
    }
    first_byte_milliseconds = {
      filter = "${local.answers} jsonPayload.first_byte_ms>=0"
      value  = "EXTRACT(jsonPayload.first_byte_ms)"
      unit   = "ms"
    }
    tokens_saved = {
      filter = "${local.answers} jsonPayload.tokens_saved>0"
      value  = "EXTRACT(jsonPayload.tokens_saved)"
      unit   = "1"
    }
  }
}

resource "google_logging_metric" "counter" {
  for_each = local.counters

  name             = "${local.metric_prefix}_${each.key}"
  filter           = each.value.filter
  label_extractors = each.value.labels

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"

    dynamic "labels" {
      for_each = each.value.labels
      content {
        key        = labels.key
        value_type = "STRING"
      }
    }
  }

  depends_on = [google_project_service.needed]
}

resource "google_logging_metric" "distribution" {
  for_each = local.distributions

  name             = "${local.metric_prefix}_${each.key}"
  filter           = each.value.filter
  value_extractor  = each.value.value
  label_extractors = { endpoint = local.request_labels.endpoint }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = each.value.unit

    labels {
      key        = "endpoint"
      value_type = "STRING"
    }
  }

  # From one to beyond a million, each bound half as large again as the one before.
  bucket_options {
    exponential_buckets {
      num_finite_buckets = 36
      growth_factor      = 1.5
      scale              = 1
    }
  }

  depends_on = [google_project_service.needed]
}
