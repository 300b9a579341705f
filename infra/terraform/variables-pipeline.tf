# What the pipeline needs, and what it hands over.
variable "deployer" {
  description = "E-mail of the account that the pipeline runs as: `bootstrap`'s output. Empty: no pipeline."
  type        = string
  default     = ""

  validation {
    condition     = var.deployer == "" || endswith(var.deployer, ".iam.gserviceaccount.com")
    error_message = "deployer is a service account's e-mail."
  }
}

variable "image" {
  description = "What the services are made with, by digest; later ones are the pipeline's to deploy. Empty before the first build and never after: it would take the services away. `terraform output -raw image` is today's."
  type        = string
  nullable    = false # and without a default, so that nobody empties it by forgetting it

  validation {
    condition     = can(regex("^(.+@sha256:[0-9a-f]{64})?$", var.image))
    error_message = "image is named by digest (…@sha256:…): a tag may mean another image tomorrow."
  }
}

variable "repository" {
  description = "Cloud Build's connected repository: projects/P/locations/L/connections/C/repositories/R. Empty: no triggers."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(projects/[^/]+/locations/[^/]+/connections/[^/]+/repositories/[^/]+)?$", var.repository))
    error_message = "repository looks like projects/P/locations/L/connections/C/repositories/R."
  }
  validation {
    condition     = var.repository == "" || var.deployer != ""
    error_message = "A trigger runs as an account: set deployer too."
  }
  validation {
    condition     = var.repository == "" || try(split("/", var.repository)[3], "") == var.support_region
    error_message = "Triggers stand where their repository is connected: set support_region to its location."
  }
}

variable "substitutions" {
  description = "Further substitutions of cloudbuild.yaml: _MODEL, _RETRIEVER_MODEL, _RETRIEVER_SETTINGS, _WATCH_SECONDS."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(setsubtract(keys(var.substitutions), ["_MODEL", "_RETRIEVER_MODEL", "_RETRIEVER_SETTINGS", "_WATCH_SECONDS"])) == 0
    error_message = "substitutions takes _MODEL, _RETRIEVER_MODEL, _RETRIEVER_SETTINGS and _WATCH_SECONDS: the others follow from variables."
  }
}
