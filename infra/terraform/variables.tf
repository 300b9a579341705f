# What a deployment is, and how it is reached. variables-size.tf, -pipeline.tf and -watch.tf have the rest.
variable "armor" {
  description = "Cloud Armor before the domain. Closes the run.app addresses, which would go round it: the pipeline then has to run inside the network (a private pool)."
  type        = bool
  default     = false

  validation {
    condition     = !var.armor || var.domain != ""
    error_message = "armor stands in a load balancer: set domain too."
  }
}

variable "cleanup_invokers" {
  description = "Who may call the cleanup beside the scheduler, from inside the project's network."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for who in var.cleanup_invokers : can(regex("^(group|serviceAccount|user):[^@*]+@[^@*]+$", who))])
    error_message = "The cleanup asks for no credential itself and is never public: name accounts (serviceAccount:..., user:..., group:...), not allUsers, allAuthenticatedUsers or a domain."
  }
}

variable "database" {
  description = "The Firestore database's id."
  type        = string
  default     = "memory-ops"

  validation {
    condition     = can(regex("^([a-z][a-z0-9-]{2,61}[a-z0-9]|\\(default\\))$", var.database))
    error_message = "database is 4 to 63 lower-case letters, digits and hyphens, or (default)."
  }
}

variable "deletion_protection" {
  description = "Refuses to delete the database, the secrets and the services. Off only to tear down."
  type        = bool
  default     = true
}

variable "domain" {
  description = "A name of yours for the gateway, behind a load balancer. Empty: the run.app address."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([a-z0-9-]+(\\.[a-z0-9-]+)+)?$", var.domain))
    error_message = "domain is a host name such as memory.example.com."
  }
}

variable "environment" {
  description = "Which deployment this is; each has a project of its own."
  type        = string

  validation {
    condition     = contains(["production", "staging"], var.environment)
    error_message = "environment is production or staging."
  }
}

variable "google_client_id" {
  description = "OAuth client ids whose ID tokens are accepted, comma-separated. Made in the console (README.md): Terraform cannot."
  type        = string

  validation {
    condition = alltrue([
      for id in split(",", var.google_client_id) :
      endswith(trimspace(id), ".apps.googleusercontent.com")
    ]) || (var.google_client_id == "" && lookup(var.secret_versions, "API_KEYS", "") != "")
    error_message = "google_client_id is missing or none: it ends in .apps.googleusercontent.com. Empty is for API keys alone, with secret_versions = { API_KEYS = \"1\" }."
  }
}

variable "name" {
  description = "Begins the name of everything."
  type        = string
  default     = "memory-ops"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,18}[a-z0-9]$", var.name))
    error_message = "name is 4 to 20 lower-case letters, digits and hyphens: an account's id with it has to fit in 30."
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
  description = "Of the services and of the memory, which never moves. europe-north2 is Stockholm."
  type        = string
  default     = "europe-north2"

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region is a single region such as europe-north2."
  }
}

variable "retriever_url" {
  description = "Who ranks: lexical:, or the GPU tier's https:// address that `modal deploy` prints."
  type        = string
  default     = "lexical:"

  validation {
    condition     = var.retriever_url == "lexical:" || can(regex("^https://[^/@]+(/[^@]*)?$", var.retriever_url))
    error_message = "retriever_url is lexical: or begins with https://: memories do not travel in the clear."
  }
}

variable "secret_versions" {
  description = "Which version of each secret is read; one without a version is not passed on."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.secret_versions) : contains(keys(local.secret_settings), name)])
    error_message = "secret_versions knows API_KEYS, MODAL_KEY, MODAL_SECRET, UPSTREAM_API_KEY and UPSTREAMS."
  }
  validation {
    condition     = alltrue([for version in values(var.secret_versions) : can(regex("^([1-9][0-9]*)?$", version))])
    error_message = "A version is a number: `latest` would change a running service without a plan."
  }
}

variable "settings" {
  description = "Further settings of the service (README.md's table), by name."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.settings) : contains(local.optional_settings, name)])
    error_message = "settings holds a name that the service does not know, that has a variable or secret of its own, or that is for a laptop: ${join(", ", [for name in keys(var.settings) : name if !contains(local.optional_settings, name)])}."
  }
}

variable "support_region" {
  description = "Of Cloud Scheduler and Cloud Build, which are not in every region. They hold no memories."
  type        = string
  default     = "europe-west1"
}

variable "upstream_base" {
  description = "The OpenAI-compatible endpoint that answers, such as https://api.openai.com. Empty: the preview."
  type        = string
  default     = ""

  validation {
    condition     = var.upstream_base == "" || can(regex("^https://[^/@]+(/[^@]*)?$", var.upstream_base))
    error_message = "upstream_base begins with https:// and holds no credentials: prompts and the upstream's key do not travel in the clear."
  }
}
