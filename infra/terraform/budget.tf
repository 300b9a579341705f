# Told at half, at nine tenths, and when the month's forecast passes the whole. Stops nothing:
# `max_instances` and DAILY_TOKEN_BUDGET do that. runbooks/budget.md says what to look at.
data "google_project" "this" {
  count = var.billing_account == "" ? 0 : 1

  project_id = var.project
}

resource "google_billing_budget" "month" {
  count = var.billing_account == "" ? 0 : 1

  billing_account = var.billing_account
  display_name    = "${var.name} ${var.environment}"

  budget_filter {
    projects        = ["projects/${data.google_project.this[0].number}"]
    calendar_period = "MONTH"
  }

  amount {
    specified_amount {
      units = tostring(floor(var.budget_units))
    }
  }

  threshold_rules {
    threshold_percent = 0.5
  }
  threshold_rules {
    threshold_percent = 0.9
  }
  threshold_rules {
    threshold_percent = 1.0
    spend_basis       = "FORECASTED_SPEND"
  }

  # Five channels at the most; the billing account's own people are told besides.
  all_updates_rule {
    monitoring_notification_channels = slice(
      [for channel in google_monitoring_notification_channel.email : channel.id],
      0,
      min(5, length(var.alert_emails)),
    )
    enable_project_level_recipients = true
  }

  depends_on = [google_project_service.needed]
}
