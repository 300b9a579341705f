output "deployer" {
  description = "For `deployer` in the environment's tfvars."
  value       = google_service_account.deployer.email
}

output "state_bucket" {
  description = "For terraform init -backend-config=bucket=NAME"
  value       = google_storage_bucket.state.name
}
