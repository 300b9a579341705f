# In a project of its own: names repeat. Answers from the preview, keeps little, may be torn down.
environment      = "staging"
project          = "your-staging-project-id"
google_client_id = "your-client-id.apps.googleusercontent.com"

backup_retention_days  = 1
deletion_protection    = false
max_instances          = 2
point_in_time_recovery = false
