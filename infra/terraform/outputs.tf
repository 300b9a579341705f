output "cleanup_service" {
  description = "The cleanup's name, for the pipeline."
  value       = "${var.name}-cleanup"
}

output "database" {
  description = "What STORE_URL names."
  value       = local.wired_settings.STORE_URL
}

output "domain_address" {
  description = "Where the domain's A record has to point."
  value       = one([for address in google_compute_global_address.gateway : address.address])
}

output "gateway_service" {
  description = "The gateway's name, for the pipeline."
  value       = "${var.name}-gateway"
}

output "gateway_url" {
  description = "What clients take as base_url, with /v1 after it. Null until there is an image."
  value       = local.with_domain ? "https://${var.domain}" : one(google_cloud_run_v2_service.gateway[*].uri)
}

output "image" {
  description = "What the services were made with, for -var=image=... of whoever applies by hand."
  value       = var.image
}

output "image_repository" {
  description = "What an image's name begins with."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
}

output "secrets" {
  description = "The secrets that wait for a value, by setting: gcloud secrets versions add NAME --data-file=-"
  value       = { for name, secret in google_secret_manager_secret.setting : name => secret.secret_id }
}
