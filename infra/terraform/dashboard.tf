# One page: is it up, is it fast, who ranks, what does it cost.
locals {
  user_metric = "logging.googleapis.com/user/${local.metric_prefix}"
  run_filter  = "resource.type=\"cloud_run_revision\""
  database    = "resource.type=\"firestore.googleapis.com/Database\" resource.labels.database_id=\"${var.database}\""

  # Each a chart; a line of it is {filter, aligner, reducer, by, legend}.
  charts = [
    {
      title = "Requests per second, by status"
      lines = [{ filter = "metric.type=\"${local.user_metric}_requests\"", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", by = ["metric.labels.status"], legend = "" }]
    },
    {
      title = "Errors per second (5xx), by endpoint"
      lines = [{ filter = "metric.type=\"${local.user_metric}_requests\" metric.labels.status=monitoring.regex.full_match(\"5..\")", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", by = ["metric.labels.endpoint"], legend = "" }]
    },
    {
      title = "Milliseconds to the whole answer: p50, p95, p99"
      lines = [for percent in ["50", "95", "99"] : { filter = "metric.type=\"${local.user_metric}_request_milliseconds\"", aligner = "ALIGN_DELTA", reducer = "REDUCE_PERCENTILE_${percent}", by = [], legend = "p${percent}" }]
    },
    {
      title = "Milliseconds to the first byte of a chat: p50, p95, p99"
      lines = [for percent in ["50", "95", "99"] : { filter = "metric.type=\"${local.user_metric}_first_byte_milliseconds\" metric.labels.endpoint=\"/v1/chat/completions\"", aligner = "ALIGN_DELTA", reducer = "REDUCE_PERCENTILE_${percent}", by = [], legend = "p${percent}" }]
    },
    {
      title = "Refused by a limit (429) and let through without one, per second"
      lines = [
        { filter = "metric.type=\"${local.user_metric}_requests\" metric.labels.status=\"429\"", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", by = [], legend = "429" },
        { filter = "metric.type=\"${local.user_metric}_limiter_fail_opens\"", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", by = [], legend = "failed open" },
      ]
    },
    {
      title = "Who ranked, per second"
      lines = [{ filter = "metric.type=\"${local.user_metric}_requests\" metric.labels.retriever!=\"\"", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", by = ["metric.labels.retriever"], legend = "" }]
    },
    {
      title = "Failures of the GPU tier per second, by reason"
      lines = [{ filter = "metric.type=\"${local.user_metric}_retriever_failures\"", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", by = ["metric.labels.reason"], legend = "" }]
    },
    {
      title = "Tokens saved by an answer: mean, p95"
      lines = [
        { filter = "metric.type=\"${local.user_metric}_tokens_saved\"", aligner = "ALIGN_DELTA", reducer = "REDUCE_MEAN", by = [], legend = "mean" },
        { filter = "metric.type=\"${local.user_metric}_tokens_saved\"", aligner = "ALIGN_DELTA", reducer = "REDUCE_PERCENTILE_95", by = [], legend = "p95" },
      ]
    },
    {
      title = "Firestore operations per second"
      lines = [for kind in ["read", "write", "delete"] : { filter = "metric.type=\"firestore.googleapis.com/document/${kind}_ops_count\" ${local.database}", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", by = [], legend = kind }]
    },
    {
      title = "Instances"
      lines = [{ filter = "metric.type=\"run.googleapis.com/container/instance_count\" ${local.run_filter}", aligner = "ALIGN_MAX", reducer = "REDUCE_SUM", by = ["resource.labels.service_name"], legend = "" }]
    },
    {
      title = "Share of an instance's memory, p99"
      lines = [{ filter = "metric.type=\"run.googleapis.com/container/memory/utilizations\" ${local.run_filter}", aligner = "ALIGN_PERCENTILE_99", reducer = "REDUCE_MAX", by = ["resource.labels.service_name"], legend = "" }]
    },
    {
      title = "Sweeps, and owners that one failed for"
      lines = [
        { filter = "metric.type=\"${local.user_metric}_sweeps\"", aligner = "ALIGN_DELTA", reducer = "REDUCE_SUM", by = [], legend = "sweeps" },
        { filter = "metric.type=\"${local.user_metric}_sweep_failures\"", aligner = "ALIGN_DELTA", reducer = "REDUCE_SUM", by = [], legend = "failed owners" },
      ]
    },
  ]

  # What is zero or empty is left out, as the API leaves it out of what it returns: else every plan
  # would show a change.
  dashboard = {
    displayName = var.name
    mosaicLayout = {
      columns = 12
      tiles = [for place, chart in local.charts : merge(
        { for name, at in { xPos = (place % 3) * 4, yPos = floor(place / 3) * 4 } : name => at if at > 0 },
        {
          width  = 4
          height = 4
          widget = {
            title = chart.title
            xyChart = {
              dataSets = [for line in chart.lines : merge(
                { for name, text in { legendTemplate = line.legend } : name => text if text != "" },
                {
                  plotType = "LINE"
                  timeSeriesQuery = {
                    timeSeriesFilter = {
                      filter = line.filter
                      aggregation = merge(
                        { for name, labels in { groupByFields = line.by } : name => labels if length(labels) > 0 },
                        {
                          alignmentPeriod    = "60s"
                          perSeriesAligner   = line.aligner
                          crossSeriesReducer = line.reducer
                        },
                      )
                    }
                  }
                },
              )]
            }
          }
        },
      )]
    }
  }
}

resource "google_monitoring_dashboard" "service" {
  dashboard_json = jsonencode(local.dashboard)

  depends_on = [google_logging_metric.counter, google_logging_metric.distribution]
}
