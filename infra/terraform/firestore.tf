# Where everything is remembered. Indexes and expiry stand in indexes.tf.
resource "google_firestore_database" "memory" {
  name        = var.database
  location_id = var.region
  type        = "FIRESTORE_NATIVE"

  # The code opens no transaction: it writes with preconditions and blind increments, for read-modify-
  # write on one hot document livelocks (ARCHITECTURE.md: of 20 at once one committed in 10 s, of 300
  # increments none was lost). Under PESSIMISTIC a transaction begun from a console or a script would
  # hold locks that the hot path waits for; under OPTIMISTIC it is the one that retries.
  concurrency_mode = "OPTIMISTIC"

  point_in_time_recovery_enablement = (
    var.point_in_time_recovery ? "POINT_IN_TIME_RECOVERY_ENABLED" : "POINT_IN_TIME_RECOVERY_DISABLED"
  )
  delete_protection_state = (
    var.deletion_protection ? "DELETE_PROTECTION_ENABLED" : "DELETE_PROTECTION_DISABLED"
  )
  deletion_policy = var.deletion_protection ? "ABANDON" : "DELETE"

  depends_on = [google_project_service.needed]
}

resource "google_firestore_backup_schedule" "daily" {
  database  = google_firestore_database.memory.name
  retention = "${var.backup_retention_days * 24 * 3600}s"

  daily_recurrence {}
}

# Firestore has no policy of its own; the condition keeps both accounts in this one database.
resource "google_project_iam_member" "documents" {
  for_each = {
    gateway = google_service_account.gateway.member
    cleanup = google_service_account.cleanup.member
  }

  project = var.project
  role    = "roles/datastore.user"
  member  = each.value

  condition {
    title       = "only-${var.database}"
    description = "This database and no other of the project."
    expression  = "resource.name == \"projects/${var.project}/databases/${google_firestore_database.memory.name}\""
  }
}
