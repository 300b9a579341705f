"""Every setting, named once, with its default. Read by `main` and the wiring only.

From the environment and, locally, from `.env`. The names of the systems this service grew out of
are taken as aliases where they mean the same.
"""

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

MAX_RECENT_TURNS = 12  # a session's head keeps 24 turns, and the window is up to twice as long


def _named(*names: str) -> AliasChoices:
    return AliasChoices(*names)


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_file=".env",
        extra="ignore",
        populate_by_name=True,
        hide_input_in_errors=True,  # the input of a refused start holds the keys
    )

    # Identity
    google_client_id: str = ""
    google_hosted_domain: str = ""
    google_certs_url: str = "https://www.googleapis.com/oauth2/v1/certs"
    api_keys: SecretStr = Field(
        SecretStr(""), validation_alias=_named("API_KEYS", "MEMORY_API_KEYS")
    )
    admin_subjects: str = ""
    development_issuer: bool = False
    development_key_file: Path = Path(".local/development-issuer.pem")

    # Upstream
    upstream_base: str = ""
    upstream_api_key: SecretStr = SecretStr("")
    upstreams: SecretStr = SecretStr("")
    request_timeout_seconds: float = Field(30.0, gt=0)
    upstream_timeout_seconds: float = Field(60.0, gt=0)
    price_prompt_per_million: float = Field(0.0, ge=0)
    price_cached_prompt_per_million: float = Field(0.0, ge=0)
    price_completion_per_million: float = Field(0.0, ge=0)
    price_cached_from_tokens: int = Field(1024, ge=0)

    # Limits
    requests_per_minute: int = Field(
        60, ge=0, validation_alias=_named("REQUESTS_PER_MINUTE", "RATE_LIMIT_RPM")
    )
    tokens_per_minute: int = Field(
        20_000, ge=0, validation_alias=_named("TOKENS_PER_MINUTE", "RATE_LIMIT_TPM")
    )
    global_requests_per_minute: int = Field(
        200,
        ge=0,
        validation_alias=_named("GLOBAL_REQUESTS_PER_MINUTE", "MEMORY_GLOBAL_RATE_LIMIT"),
    )
    global_limit_shards: int = Field(4, ge=1, le=64)
    daily_token_budget: int = Field(0, ge=0)
    monthly_token_budget: int = Field(0, ge=0)
    daily_cost_budget_usd: float = Field(0.0, ge=0, le=1e9, allow_inf_nan=False)
    monthly_cost_budget_usd: float = Field(0.0, ge=0, le=1e9, allow_inf_nan=False)
    budget_warning_share: float = Field(0.8, gt=0, le=1)
    limiter_failure: Literal["closed", "open"] = "closed"

    # Store
    store_url: str = "sqlite:///memory-ops.db"
    backup_retention_days: float = Field(7.0, ge=0)
    max_memory_mb: int = Field(100, ge=1)

    # Memory
    retriever_url: str = "lexical:"
    retriever_deadline_seconds: float = Field(2.0, gt=0, le=600)
    retriever_window_tokens: int = Field(1800, ge=1)
    retriever_max_tokens: int = Field(32_000, ge=1)
    retriever_cache_seconds: float = Field(600.0, ge=0)
    retriever_price_per_hour: float = Field(0.0, ge=0, allow_inf_nan=False)
    modal_key: SecretStr = SecretStr("")
    modal_secret: SecretStr = SecretStr("")
    memory_token_budget: int = Field(2000, ge=0)
    memory_recent_turns: int = Field(6, ge=1, le=MAX_RECENT_TURNS)
    memory_compress_above_tokens: int = Field(3000, ge=0)
    memory_scope: Literal["user", "session"] = "user"
    memory_model: str = Field("gpt-4o-mini", min_length=1)
    enable_context_memory: bool = True
    enable_orchestrated_search: bool = True
    enable_redaction: bool = True
    enable_response_cache: bool = False
    response_cache_ttl_seconds: float = Field(300.0, gt=0, le=86_400)
    enable_usage_analytics: bool = True
    memory_score_floor: float = Field(0.08, ge=0, le=1)
    top_k: int = Field(64, ge=1)
    search_weight_relevance: float = Field(0.85, ge=0, le=1)
    search_weight_importance: float = Field(0.10, ge=0, le=1)
    search_weight_recency: float = Field(0.05, ge=0, le=1)
    tokenizer: Literal["o200k_base", "cl100k_base"] = "o200k_base"

    # Retention
    retention_max_age_days: float = Field(
        30.0,
        gt=0,
        validation_alias=_named("RETENTION_MAX_AGE_DAYS", "MEMORY_RETENTION_MAX_AGE_DAYS"),
    )
    retention_importance_threshold: float = Field(
        0.35,
        ge=0,
        le=1,
        validation_alias=_named(
            "RETENTION_IMPORTANCE_THRESHOLD", "MEMORY_RETENTION_IMPORTANCE_THRESHOLD"
        ),
    )
    retention_delete_after_days: float = Field(
        90.0,
        ge=0,
        validation_alias=_named(
            "RETENTION_DELETE_AFTER_DAYS", "MEMORY_RETENTION_DELETE_AFTER_DAYS"
        ),
    )
    retention_schedule_seconds: float = Field(
        86_400.0,
        ge=0,
        validation_alias=_named("RETENTION_SCHEDULE_SECONDS", "MEMORY_RETENTION_SCHEDULE_SECONDS"),
    )
    retention_time_budget_seconds: float = Field(
        240.0,
        gt=0,
        validation_alias=_named(
            "RETENTION_TIME_BUDGET_SECONDS", "MEMORY_RETENTION_TIME_BUDGET_SECONDS"
        ),
    )

    # Telemetry
    google_cloud_project: str = ""
    metrics_enabled: bool = False
    metrics_token: SecretStr = SecretStr("")
    otel_exporter_otlp_endpoint: str = ""
    otel_exporter_otlp_headers: SecretStr = SecretStr("")
    otel_service_name: str = "memory-ops"
    otel_traces_sampler_arg: float = Field(1.0, ge=0, le=1)

    # Service
    allowed_origins: str = Field(
        "", validation_alias=_named("ALLOWED_ORIGINS", "MEMORY_ALLOWED_ORIGINS")
    )
    max_body_bytes: int = Field(8 * 1024 * 1024, ge=1024)
    max_import_bytes: int = Field(256 * 1024 * 1024, ge=1024)
    max_message_characters: int = Field(10_000, ge=1)
    drain_seconds: float = Field(5.0, ge=0)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    debug: bool = False
    environment: str = "development"

    # Set by Cloud Run itself
    k_service: str = ""

    @field_validator("global_requests_per_minute", mode="before")
    @classmethod
    def _accept_rate(cls, value: object) -> object:
        """`MEMORY_GLOBAL_RATE_LIMIT=200/minute` was the older system's spelling."""
        return value.removesuffix("/minute") if isinstance(value, str) else value

    @field_validator("admin_subjects")
    @classmethod
    def _whole_subjects(cls, value: str) -> str:
        """An e-mail address would be nobody's subject, and its owner no admin."""
        if not all(one.startswith(("google:", "key:")) for one in _listed(value)):
            raise ValueError("ADMIN_SUBJECTS are google:<sub> or key:<name>, separated by commas")
        return value

    @model_validator(mode="after")
    def _safe_in_production(self) -> Self:
        """Refuse to start rather than serve without a way to sign in or a store that lasts."""
        if not self.in_production:
            return self
        if not (self.google_client_id or self.api_keys.get_secret_value()):
            raise ValueError("no way to sign in: set GOOGLE_CLIENT_ID or API_KEYS")
        if self.development_issuer:
            raise ValueError("DEVELOPMENT_ISSUER lets anyone in: never in production")
        if self.store_url.startswith("sqlite:"):
            raise ValueError("STORE_URL=sqlite: would be lost with the instance: use firestore://")
        if not self.retriever_url.startswith(("lexical:", "https://")):
            raise ValueError("RETRIEVER_URL would carry memories in the clear: use https://")
        if not _confidential(self.otel_exporter_otlp_endpoint):
            raise ValueError(
                "OTEL_EXPORTER_OTLP_ENDPOINT would send its headers in the clear: use https://, or"
                " a collector on localhost"
            )
        return self

    @property
    def in_production(self) -> bool:
        """On Cloud Run always; elsewhere when `ENVIRONMENT` says so."""
        return bool(self.k_service) or self.environment.strip().lower() == "production"

    @property
    def project(self) -> str:
        """Google Cloud's, for the names of traces: the store's own where none is named."""
        store = urlsplit(self.store_url)
        return self.google_cloud_project or (store.netloc if store.scheme == "firestore" else "")

    @property
    def effective_log_level(self) -> str:
        return "DEBUG" if self.debug else self.log_level

    @property
    def audiences(self) -> frozenset[str]:
        return _listed(self.google_client_id)

    @property
    def admins(self) -> frozenset[str]:
        return _listed(self.admin_subjects)

    @property
    def origins(self) -> frozenset[str]:
        return _listed(self.allowed_origins)


def _confidential(endpoint: str) -> bool:
    """Whether what is sent there is read by nobody between; nothing is sent to no endpoint."""
    parts = urlsplit(endpoint.strip())
    return parts.scheme in {"", "https"} or parts.hostname in {"127.0.0.1", "::1", "localhost"}


def _listed(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(",") if part.strip())
