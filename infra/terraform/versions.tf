terraform {
  required_version = ">= 1.9" # a variable's validation may look at locals

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 8.0"
    }
  }

  # The bucket is `bootstrap`'s output: terraform init -backend-config=bucket=NAME
  backend "gcs" {
    prefix = "memory-ops"
  }
}

provider "google" {
  project = var.project
  region  = var.region

  # Budgets are refused to a person's own credentials without a project that pays for the call.
  billing_project       = var.project
  user_project_override = true

  default_labels = {
    application = var.name
    environment = var.environment
  }
}
