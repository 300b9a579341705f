# How each setting of functions/gateway/settings.py reaches the service. Defaults are the code's: what
# nobody sets is not passed. tests/infra compares the names.
locals {
  # Told by other resources and variables.
  wired_settings = {
    BACKUP_RETENTION_DAYS = tostring(local.backup_horizon_days)
    ENVIRONMENT           = var.environment
    GOOGLE_CLIENT_ID      = var.google_client_id
    GOOGLE_CLOUD_PROJECT  = var.project
    RETRIEVER_URL         = var.retriever_url
    STORE_URL             = "firestore://${var.project}/${google_firestore_database.memory.name}"
    UPSTREAM_BASE         = var.upstream_base
  }

  # For how long something erased may be brought back from a backup or from the recovery window. The
  # erasure's receipt states it.
  backup_horizon_days = max(var.backup_retention_days, var.point_in_time_recovery ? 7 : 0)

  # What `settings` may hold.
  optional_settings = toset([
    "ADMIN_SUBJECTS",
    "ALLOWED_ORIGINS",
    "BUDGET_WARNING_SHARE",
    "DAILY_COST_BUDGET_USD",
    "DAILY_TOKEN_BUDGET",
    "DEBUG",
    "ENABLE_CONTEXT_MEMORY",
    "DRAIN_SECONDS",
    "ENABLE_ORCHESTRATED_SEARCH",
    "ENABLE_REDACTION",
    "ENABLE_RESPONSE_CACHE",
    "ENABLE_USAGE_ANALYTICS",
    "GLOBAL_LIMIT_SHARDS",
    "GLOBAL_REQUESTS_PER_MINUTE",
    "GOOGLE_CERTS_URL",
    "GOOGLE_HOSTED_DOMAIN",
    "LIMITER_FAILURE",
    "LOG_LEVEL",
    "MAX_BODY_BYTES",
    "MAX_IMPORT_BYTES",
    "MAX_MEMORY_MB",
    "MAX_MESSAGE_CHARACTERS",
    "MEMORY_COMPRESS_ABOVE_TOKENS",
    "MEMORY_MODEL",
    "MEMORY_RECENT_TURNS",
    "MEMORY_SCOPE",
    "MEMORY_SCORE_FLOOR",
    "MEMORY_TOKEN_BUDGET",
    "METRICS_ENABLED",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_SAMPLER_ARG",
    "MONTHLY_COST_BUDGET_USD",
    "MONTHLY_TOKEN_BUDGET",
    "PRICE_CACHED_FROM_TOKENS",
    "PRICE_CACHED_PROMPT_PER_MILLION",
    "PRICE_COMPLETION_PER_MILLION",
    "PRICE_PROMPT_PER_MILLION",
    "REQUESTS_PER_MINUTE",
    "REQUEST_TIMEOUT_SECONDS",
    "RESPONSE_CACHE_TTL_SECONDS",
    "RETENTION_DELETE_AFTER_DAYS",
    "RETENTION_IMPORTANCE_THRESHOLD",
    "RETENTION_MAX_AGE_DAYS",
    "RETENTION_TIME_BUDGET_SECONDS",
    "RETRIEVER_CACHE_SECONDS",
    "RETRIEVER_DEADLINE_SECONDS",
    "RETRIEVER_MAX_TOKENS",
    "RETRIEVER_PRICE_PER_HOUR",
    "RETRIEVER_WINDOW_TOKENS",
    "SEARCH_WEIGHT_IMPORTANCE",
    "SEARCH_WEIGHT_RECENCY",
    "SEARCH_WEIGHT_RELEVANCE",
    "TOKENIZER",
    "TOKENS_PER_MINUTE",
    "TOP_K",
    "UPSTREAM_TIMEOUT_SECONDS",
  ])

  # Meant for a laptop (the issuer, the schedule of a store in a file) or set by Cloud Run itself.
  settings_never_passed = toset([
    "DEVELOPMENT_ISSUER",
    "DEVELOPMENT_KEY_FILE",
    "K_SERVICE",
    "RETENTION_SCHEDULE_SECONDS",
  ])

  environment = merge(var.settings, local.wired_settings)
}
