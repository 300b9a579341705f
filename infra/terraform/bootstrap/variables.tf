variable "name" {
  description = "As in the configuration this prepares."
  type        = string
  default     = "memory-ops"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,18}[a-z0-9]$", var.name))
    error_message = "name is 4 to 20 lower-case letters, digits and hyphens."
  }
}

variable "project" {
  description = "The project's id."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "project is a project id such as memory-ops-471923, not its name or number."
  }
}

variable "region" {
  description = "Where the state lies."
  type        = string
  default     = "europe-north2"
}
