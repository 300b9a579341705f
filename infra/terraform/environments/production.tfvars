# Copied and filled in once; nothing in here is secret.
environment      = "production"
project          = "your-project-id"
google_client_id = "your-client-id.apps.googleusercontent.com"

# region          = "europe-north2" # never moves; bootstrap's, and the pipeline's _REGION
# support_region  = "europe-west1"

# upstream_base   = "https://api.openai.com"
# secret_versions = { UPSTREAM_API_KEY = "1" }

# retriever_url   = "https://you--memory-ops-retriever-web.modal.run"
# secret_versions = { UPSTREAM_API_KEY = "1", MODAL_KEY = "1", MODAL_SECRET = "1" }

# alert_emails    = ["you@example.com"]
# billing_account = "012345-6789AB-CDEF01" # the deployer needs roles/billing.costsManager on it
# deployer        = "memory-ops-deployer@your-project-id.iam.gserviceaccount.com"
# repository      = "projects/your-project-id/locations/europe-west1/connections/github/repositories/memory-ops"
# settings        = { DAILY_TOKEN_BUDGET = "200000" }
