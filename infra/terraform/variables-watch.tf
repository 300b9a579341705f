# Who is told, and of what.
variable "alert_emails" {
  description = "Who is told when something is wrong. Empty: incidents show in the console alone."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for email in var.alert_emails : can(regex("^[^@ ]+@[^@ ]+$", email))])
    error_message = "alert_emails takes e-mail addresses."
  }
}

variable "billing_account" {
  description = "Of the budget, as 000000-000000-000000. Empty: no budget is made."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6})?$", var.billing_account))
    error_message = "billing_account looks like 012345-6789AB-CDEF01; `gcloud billing accounts list` shows it."
  }
}

variable "budget_units" {
  description = "A month's budget, in the billing account's currency."
  type        = number
  default     = 50

  validation {
    condition     = var.budget_units >= 1
    error_message = "budget_units is a whole amount of money, 1 or more."
  }
}

variable "slow_seconds" {
  description = "An alert rises when one answer in twenty begins later than this."
  type        = number
  default     = 10
}
