# Copied and filled in once; nothing in here is secret.
environment      = "production"
project          = "your-project-id"
google_client_id = "your-client-id.apps.googleusercontent.com"

# upstream_base   = "https://api.openai.com"
# secret_versions = { UPSTREAM_API_KEY = "1" }

# retriever_url   = "https://you--memory-ops-retriever-web.modal.run"
# secret_versions = { UPSTREAM_API_KEY = "1", MODAL_KEY = "1", MODAL_SECRET = "1" }

# alert_emails    = ["you@example.com"]
# billing_account = "012345-6789AB-CDEF01"
# deployer        = "memory-ops-deployer@your-project-id.iam.gserviceaccount.com"
# settings        = { DAILY_TOKEN_BUDGET = "200000" }
