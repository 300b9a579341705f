# What wakes somebody, each with what to do about it in runbooks/. Made with the services: there is
# nothing to watch before, and an alert on a metric that is minutes old is refused. No uptime check, which
# would keep an instance awake that costs nothing asleep.
resource "google_monitoring_notification_channel" "email" {
  for_each = toset(var.alert_emails)

  display_name = "${var.name}: ${each.key}"
  type         = "email"
  labels       = { email_address = each.key }

  depends_on = [google_project_service.needed]
}

locals {
  metric_of = { for name, _ in merge(local.counters, local.distributions) : name => "metric.type=\"${local.user_metric}_${name}\"" }
  run_logs  = "resource.type=\"cloud_run_revision\""

  requests = "${local.metric_of.requests} ${local.run_logs}"

  # A share is of what `of` counts; where nobody asks there is none.
  shares = {
    errors = {
      title     = "More than one answer in twenty failed (5xx)"
      severity  = "CRITICAL"
      filter    = "${local.requests} metric.labels.status=monitoring.regex.full_match(\"5..\")"
      of        = local.requests
      more_than = 0.05
      lasting   = "300s"
    }
    fail-open = {
      title     = "More than one request in a hundred passes without a limit"
      severity  = "CRITICAL"
      filter    = "${local.metric_of.limiter_fail_opens} ${local.run_logs}"
      of        = local.requests
      more_than = 0.01
      lasting   = "300s"
    }
    retriever = {
      title     = "The GPU tier fails more than one question in ten that it was asked"
      severity  = "WARNING"
      filter    = "${local.requests} metric.labels.retriever=monitoring.regex.full_match(\"${local.gpu_failed}\")"
      of        = "${local.requests} metric.labels.retriever=monitoring.regex.full_match(\"gpu|${local.gpu_failed}\")"
      more_than = 0.1
      lasting   = "900s"
    }
  }

  # Of `x-memory-retriever`: not `configured` (no tier), `small` (nothing to ask) nor `too-large`.
  gpu_failed = "lexical; reason=(loading|timeout|unreachable|overloaded|refused|circuit-open|invalid-answer|failed)"
}

resource "google_monitoring_alert_policy" "share" {
  for_each = var.image == "" ? {} : local.shares

  display_name          = "${var.name}: ${each.key}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]

  conditions {
    display_name = each.value.title

    condition_threshold {
      filter                  = each.value.filter
      denominator_filter      = each.value.of
      comparison              = "COMPARISON_GT"
      threshold_value         = each.value.more_than
      duration                = each.value.lasting
      evaluation_missing_data = "EVALUATION_MISSING_DATA_INACTIVE"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
      denominator_aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    subject   = "${var.name} ${var.environment}: ${each.value.title}"
    content   = file("${path.module}/runbooks/${each.key}.md")
  }

  alert_strategy {
    auto_close = "86400s"
  }

  depends_on = [google_logging_metric.counter]
}

resource "google_monitoring_alert_policy" "latency" {
  count = var.image == "" ? 0 : 1

  display_name          = "${var.name}: latency"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]

  conditions {
    display_name = "One chat in twenty begins to answer after more than ${var.slow_seconds} s"

    condition_threshold {
      filter                  = "${local.metric_of.first_byte_milliseconds} ${local.run_logs} metric.labels.endpoint=\"/v1/chat/completions\""
      comparison              = "COMPARISON_GT"
      threshold_value         = var.slow_seconds * 1000
      duration                = "600s"
      evaluation_missing_data = "EVALUATION_MISSING_DATA_INACTIVE"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_PERCENTILE_95"
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    subject   = "${var.name} ${var.environment}: answers are slow"
    content   = file("${path.module}/runbooks/latency.md")
  }

  alert_strategy {
    auto_close = "86400s"
  }

  depends_on = [google_logging_metric.distribution]
}

resource "google_monitoring_alert_policy" "sweep" {
  count = var.image == "" ? 0 : 1

  display_name          = "${var.name}: sweep"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]

  conditions {
    display_name = "No sweep has succeeded for a day"

    condition_threshold {
      filter                  = "${local.metric_of.sweeps} resource.type=\"cloud_scheduler_job\""
      comparison              = "COMPARISON_LT"
      threshold_value         = 1
      duration                = "3600s"
      evaluation_missing_data = "EVALUATION_MISSING_DATA_ACTIVE"

      aggregations {
        alignment_period     = "90000s" # 25 hours: as far as an alert looks back
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  # A metric that never counted has no series that could be missing: this is for sweeps that fail from
  # the first day on.
  conditions {
    display_name = "A sweep failed as often as it is tried"

    condition_threshold {
      filter                  = "${local.metric_of.sweep_attempts_failed} resource.type=\"cloud_scheduler_job\""
      comparison              = "COMPARISON_GT"
      threshold_value         = 3 # once, and three times more
      duration                = "0s"
      evaluation_missing_data = "EVALUATION_MISSING_DATA_INACTIVE"

      aggregations {
        alignment_period     = "7200s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  conditions {
    display_name = "A sweep failed for some owners"

    condition_threshold {
      filter                  = "${local.metric_of.sweep_failures} ${local.run_logs}"
      comparison              = "COMPARISON_GT"
      threshold_value         = 0
      duration                = "60s"
      evaluation_missing_data = "EVALUATION_MISSING_DATA_INACTIVE"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    subject   = "${var.name} ${var.environment}: retention is not what was promised"
    content   = file("${path.module}/runbooks/sweep.md")
  }

  alert_strategy {
    auto_close = "604800s"
  }

  depends_on = [google_logging_metric.counter]
}
