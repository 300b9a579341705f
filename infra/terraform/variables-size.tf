# How much, how long, how often.
variable "backup_retention_days" {
  description = "How long a daily backup is kept. Erasures state it: what was erased is in backups as long."
  type        = number
  default     = 7

  validation {
    condition     = var.backup_retention_days >= 1 && var.backup_retention_days <= 98
    error_message = "Firestore keeps backups for 1 to 98 days."
  }
}

variable "cleanup_timeout_seconds" {
  description = "Of one sweep, which stops by itself after RETENTION_TIME_BUDGET_SECONDS (240)."
  type        = number
  default     = 300

  validation {
    condition     = var.cleanup_timeout_seconds >= 300 && var.cleanup_timeout_seconds <= 1800
    error_message = "cleanup_timeout_seconds is 300 (a sweep takes 240 and ends what it began) to 1800 (as long as Cloud Scheduler waits)."
  }
}

variable "concurrency" {
  description = "Requests of one instance at once. They mostly wait for the upstream."
  type        = number
  default     = 80

  validation {
    condition     = var.concurrency >= 1 && var.concurrency <= 250
    error_message = "concurrency is 1 to 250: an instance opens 256 connections to the GPU tier at the most."
  }
}

variable "images_kept" {
  description = "The newest images, kept whatever their age to roll back to."
  type        = number
  default     = 20

  validation {
    condition     = var.images_kept >= 2
    error_message = "images_kept is 2 or more: the one that serves and the one before it."
  }
}

variable "max_instances" {
  description = "Bounds what a storm may cost."
  type        = number
  default     = 10

  validation {
    condition     = var.max_instances >= 1 && var.max_instances <= 1000 && var.max_instances >= var.min_instances
    error_message = "max_instances is 1 to 1000 and at least min_instances."
  }
}

variable "memory" {
  description = "Of a gateway instance."
  type        = string
  default     = "1Gi"

  validation {
    condition     = contains(["512Mi", "1Gi", "2Gi", "4Gi"], var.memory)
    error_message = "memory is 512Mi, 1Gi, 2Gi or 4Gi: one CPU takes no more."
  }
}

variable "min_instances" {
  description = "Kept warm. 0 costs nothing when idle."
  type        = number
  default     = 0

  validation {
    condition     = var.min_instances >= 0 && var.min_instances <= 100
    error_message = "min_instances is 0 to 100."
  }
}

variable "point_in_time_recovery" {
  description = "The database as it was in any minute of the last seven days."
  type        = bool
  default     = true
}

variable "retention_schedule" {
  description = "When the sweep runs, as cron in UTC; an alert expects it daily. One out of time goes on with the next."
  type        = string
  default     = "17 2 * * *"

  validation {
    condition     = length(split(" ", var.retention_schedule)) == 5
    error_message = "retention_schedule has cron's five fields, such as \"17 2 * * *\"."
  }
}

variable "timeout_seconds" {
  description = "Of one request, streams included."
  type        = number
  default     = 300

  validation {
    condition     = var.timeout_seconds >= 30 && var.timeout_seconds <= 300
    error_message = "timeout_seconds is 30 to 300: the claim of an Idempotency-Key runs out at 330 and lets another request in."
  }
}
