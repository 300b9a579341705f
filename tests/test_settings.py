"""Settings: defaults, the older systems' names, and what production refuses."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.retrieval.lexical import LexicalRanker
from gateway.retrieval.remote import RemoteRanker
from gateway.settings import Settings
from gateway.wiring.adapters import documents_from, ranker_from
from gateway.wiring.options import collector, collector_headers

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def nothing_of_the_developer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("K_SERVICE", "API_KEYS", "GOOGLE_CLIENT_ID", "STORE_URL", "ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)


def test_the_older_names_mean_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORY_API_KEYS", "me:k")
    monkeypatch.setenv("MEMORY_GLOBAL_RATE_LIMIT", "150/minute")
    monkeypatch.setenv("RATE_LIMIT_TPM", "900")
    monkeypatch.setenv("MEMORY_ALLOWED_ORIGINS", "https://a.example, https://b.example")
    settings = Settings()
    assert settings.api_keys.get_secret_value() == "me:k"
    assert (settings.global_requests_per_minute, settings.tokens_per_minute) == (150, 900)
    assert settings.origins == {"https://a.example", "https://b.example"}


def test_a_dotenv_file_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MEMORY_TOKEN_BUDGET=77\nLOG_LEVEL=WARNING\n")
    assert Settings().memory_token_budget == 77


UNSAFE = pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"STORE_URL": "firestore://p/d"}, "no way to sign in"),
        (
            {"API_KEYS": "k", "STORE_URL": "firestore://p/d", "DEVELOPMENT_ISSUER": "true"},
            "lets anyone in",
        ),
        ({"API_KEYS": "k"}, "would be lost"),
        (
            {
                "API_KEYS": "k",
                "STORE_URL": "firestore://p/d",
                "RETRIEVER_URL": "http://127.0.0.1:9000",
            },
            "in the clear",
        ),
        (
            {
                "API_KEYS": "k",
                "STORE_URL": "firestore://p/d",
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example:4318",
            },
            "in the clear",
        ),
    ],
)


@pytest.mark.parametrize("mark", [("K_SERVICE", "memory-ops"), ("ENVIRONMENT", "production")])
@UNSAFE
def test_production_refuses_what_is_not_safe(
    monkeypatch: pytest.MonkeyPatch, mark: tuple[str, str], given: dict[str, str], reason: str
) -> None:
    monkeypatch.setenv(*mark)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=reason):
        Settings()


@pytest.mark.parametrize("environment", ["", "development", "test", "staging", "Production"])
@UNSAFE
def test_no_environment_loosens_what_cloud_run_asks_for(
    monkeypatch: pytest.MonkeyPatch, environment: str, given: dict[str, str], reason: str
) -> None:
    monkeypatch.setenv("K_SERVICE", "memory-ops")
    monkeypatch.setenv("ENVIRONMENT", environment)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=reason):
        Settings()


@pytest.mark.parametrize("endpoint", ["", "https://otlp.example", "http://localhost:4318"])
def test_a_collector_beside_the_process_may_speak_http(
    monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("API_KEYS", "k")
    monkeypatch.setenv("STORE_URL", "firestore://p/d")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    assert Settings().otel_exporter_otlp_endpoint == endpoint


def test_a_traces_project_is_the_stores_unless_told() -> None:
    assert Settings(store_url="firestore://some-project/db").project == "some-project"
    assert Settings(store_url="sqlite:///a.db").project == ""
    named = Settings(store_url="firestore://some-project/db", google_cloud_project="another")
    assert named.project == "another"


def test_the_collectors_headers_are_pairs() -> None:
    assert collector_headers(Settings(otel_exporter_otlp_headers="A=b%20c, d=e=f")) == {
        "a": "b c",
        "d": "e=f",
    }
    for given in ("canary", "a b=canary", "a=canary%0ad"):
        with pytest.raises(ValueError, match="pairs") as refused:
            collector_headers(Settings(otel_exporter_otlp_headers=given))
        assert "canary" not in str(refused.value)


def test_a_collector_we_cannot_speak_to_is_refused() -> None:
    with pytest.raises(ValueError, match="OTEL_EXPORTER_OTLP_ENDPOINT") as refused:
        collector(Settings(otel_exporter_otlp_endpoint="grpc://canary.example"))
    assert "canary" not in str(refused.value)


def test_admins_are_named_by_whole_subjects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_SUBJECTS", " google:123 ,key:ops,")
    assert Settings().admins == {"google:123", "key:ops"}
    monkeypatch.setenv("ADMIN_SUBJECTS", "google:123,ops@example.com")
    with pytest.raises(ValidationError, match="ADMIN_SUBJECTS are"):
        Settings()


def test_a_secret_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEYS", "me:canary")
    monkeypatch.setenv("UPSTREAM_API_KEY", "canary")
    monkeypatch.setenv("METRICS_TOKEN", "canary")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "a=canary")
    monkeypatch.setenv("MODAL_KEY", "canary")
    monkeypatch.setenv("MODAL_SECRET", "canary")
    assert "canary" not in repr(Settings())


def test_every_setting_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    missing = [name for name in Settings.model_fields if f"`{name.upper()}`" not in readme]
    assert missing == ["k_service"]  # Cloud Run's own, no one sets it


@pytest.mark.parametrize(
    "url",
    ["", "sqlite:", "sqlite:///", "sqlite://host/x", "mysql:///x", "sqlite:///x?synchronous=OFF"],
)
def test_a_store_url_we_do_not_know_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"STORE_URL|synchronous"):
        documents_from(url)


def test_the_url_says_who_ranks() -> None:
    assert isinstance(ranker_from(Settings()), LexicalRanker)
    remote = Settings(retriever_url="https://user--retriever.modal.run")
    assert isinstance(ranker_from(remote), RemoteRanker)


@pytest.mark.parametrize("url", ["", "lexical", "gpu:", "http://gpu.test", "https://"])
def test_a_retriever_url_we_do_not_know_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="RETRIEVER_URL"):
        ranker_from(Settings(retriever_url=url))


def test_the_example_names_every_setting_with_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uncommented whole it changes nothing."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    given = dict(line[1:].split("=", 1) for line in lines if line[:1] == "#" and line[1:2] != " ")
    assert {name.lower() for name in given} == Settings.model_fields.keys() - {"k_service"}
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    defaults = Settings()
    Path(".env").write_text("".join(f"{name}={value}\n" for name, value in given.items()))
    assert Settings() == defaults
