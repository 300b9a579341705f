variable "alert_emails" {
  description = "Who is told when something is wrong. Empty: incidents show in the console alone."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for email in var.alert_emails : can(regex("^[^@ ]+@[^@ ]+$", email))])
    error_message = "alert_emails takes e-mail addresses."
  }
}

variable "armor" {
  description = "Cloud Armor before the domain. Closes the run.app addresses, which would go round it: the pipeline then has to run inside the network (a private pool)."
  type        = bool
  default     = false

  validation {
    condition     = !var.armor || var.domain != ""
    error_message = "armor stands in a load balancer: set domain too."
  }
}

variable "backup_retention_days" {
  description = "How long a daily backup is kept. Erasures state it: what was erased is in backups as long."
  type        = number
  default     = 7

  validation {
    condition     = var.backup_retention_days >= 1 && var.backup_retention_days <= 98
    error_message = "Firestore keeps backups for 1 to 98 days."
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

variable "cleanup_invokers" {
  description = "Who may call the cleanup beside the scheduler, from inside the project's network."
  type        = list(string)
  default     = []

  validation {
    condition     = length(setintersection(var.cleanup_invokers, ["allUsers", "allAuthenticatedUsers"])) == 0
    error_message = "The cleanup asks for no credential itself and is never public: name accounts, not allUsers or allAuthenticatedUsers."
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

variable "deployer" {
  description = "E-mail of the account that the pipeline runs as: `bootstrap`'s output. Empty: no pipeline."
  type        = string
  default     = ""

  validation {
    condition     = var.deployer == "" || endswith(var.deployer, ".iam.gserviceaccount.com")
    error_message = "deployer is a service account's e-mail."
  }
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

variable "image" {
  description = "What the services are made with, by digest; later ones are the pipeline's to deploy. Empty until the first build."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(.+@sha256:[0-9a-f]{64})?$", var.image))
    error_message = "image is named by digest (…@sha256:…): a tag may mean another image tomorrow."
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

variable "name" {
  description = "Begins the name of everything."
  type        = string
  default     = "memory-ops"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,18}[a-z0-9]$", var.name))
    error_message = "name is 4 to 20 lower-case letters, digits and hyphens: an account's id with it has to fit in 30."
  }
}

variable "point_in_time_recovery" {
  description = "The database as it was in any minute of the last seven days."
  type        = bool
  default     = true
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

variable "retention_schedule" {
  description = "When the sweep runs, as cron in UTC; an alert expects it daily. One out of time goes on with the next."
  type        = string
  default     = "17 2 * * *"

  validation {
    condition     = length(split(" ", var.retention_schedule)) == 5
    error_message = "retention_schedule has cron's five fields, such as \"17 2 * * *\"."
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
    error_message = "secret_versions knows API_KEYS, MODAL_KEY, MODAL_SECRET and UPSTREAM_API_KEY."
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

variable "slow_seconds" {
  description = "An alert rises when one answer in twenty begins later than this."
  type        = number
  default     = 10
}

variable "substitutions" {
  description = "Further substitutions of cloudbuild.yaml: _MODEL, _RETRIEVER_MODEL, _WATCH_SECONDS."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(setsubtract(keys(var.substitutions), ["_MODEL", "_RETRIEVER_MODEL", "_WATCH_SECONDS"])) == 0
    error_message = "substitutions takes _MODEL, _RETRIEVER_MODEL and _WATCH_SECONDS: the others follow from variables."
  }
}

variable "support_region" {
  description = "Of Cloud Scheduler and Cloud Build, which are not in every region. They hold no memories."
  type        = string
  default     = "europe-west1"
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

variable "upstream_base" {
  description = "The OpenAI-compatible endpoint that answers, such as https://api.openai.com. Empty: the preview."
  type        = string
  default     = ""

  validation {
    condition     = var.upstream_base == "" || can(regex("^https://[^/@]+(/[^@]*)?$", var.upstream_base))
    error_message = "upstream_base begins with https:// and holds no credentials: prompts and the upstream's key do not travel in the clear."
  }
}
