"""Every setting of the code reaches the service through Terraform, or is said not to."""

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import AliasChoices, SecretStr

from gateway.chat.claims import IN_FLIGHT_SECONDS
from gateway.settings import Settings
from support.terraform import Outcome, Resource, keys_in, named_in

WIRED = keys_in("settings.tf", "wired_settings")
SECRET = keys_in("secrets.tf", "secret_settings")
OPTIONAL = named_in("settings.tf", "optional_settings")
NEVER = named_in("settings.tf", "settings_never_passed")
SIZES = {"512Mi": 512, "1Gi": 1024, "2Gi": 2048, "4Gi": 4096}


def names_in_the_code() -> dict[str, Any]:
    """As the environment knows them; the first alias is today's."""
    found: dict[str, Any] = {}
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        first = alias.choices[0] if isinstance(alias, AliasChoices) else name
        found[str(first).upper()] = field
    return found


def environment_of(resource: Resource) -> dict[str, str]:
    """What a container gets; a secret's value is made up here."""
    given = resource["template"][0]["containers"][0]["env"]
    return {one["name"]: one["value"] if one["value"] is not None else "made-up" for one in given}


@pytest.fixture
def services(tested: Outcome) -> Mapping[str, Resource]:
    made = tested.made["services"]
    return {name: made[f"google_cloud_run_v2_service.{name}[0]"] for name in ("gateway", "cleanup")}


def test_every_setting_is_wired_or_named_as_not() -> None:
    assert names_in_the_code().keys() == WIRED | SECRET | OPTIONAL | NEVER


def test_a_setting_has_one_way_in() -> None:
    ways = (WIRED, SECRET, OPTIONAL, NEVER)
    assert sum(map(len, ways)) == len(frozenset.union(*ways))


def test_what_the_code_keeps_secret_comes_from_secret_manager() -> None:
    hidden = {name for name, field in names_in_the_code().items() if field.annotation is SecretStr}
    assert hidden == SECRET


def test_what_is_for_a_laptop_stays_there() -> None:
    assert {"DEVELOPMENT_ISSUER", "DEVELOPMENT_KEY_FILE"} <= NEVER


@pytest.mark.parametrize("name", ["gateway", "cleanup"])
def test_the_service_would_start_with_what_it_is_given(
    services: Mapping[str, Resource], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in names_in_the_code():
        monkeypatch.delenv(each, raising=False)
    given = environment_of(services[name])
    for each, value in given.items():
        monkeypatch.setenv(each, value)
    monkeypatch.setenv("K_SERVICE", f"memory-ops-{name}")
    settings = Settings(_env_file=None)
    assert settings.in_production
    assert settings.store_url == "firestore://some-project/memory-ops"
    assert settings.audiences == {"1234-abcd.apps.googleusercontent.com"}
    assert given["FUNCTION_TARGET"] == name


def test_a_claim_outlives_the_longest_request(services: Mapping[str, Resource]) -> None:
    assert seconds(services["gateway"]) < IN_FLIGHT_SECONDS


def test_a_sweep_ends_before_its_request(services: Mapping[str, Resource]) -> None:
    budget = Settings.model_fields["retention_time_budget_seconds"].default
    assert seconds(services["cleanup"]) >= max(300, budget + 60)


def test_the_indexes_kept_in_the_process_fit_beside_it(services: Mapping[str, Resource]) -> None:
    limits = services["gateway"]["template"][0]["containers"][0]["resources"][0]["limits"]
    kept = Settings.model_fields["max_memory_mb"].default
    assert kept * 4 < SIZES[limits["memory"]]


def seconds(resource: Resource) -> float:
    return float(resource["template"][0]["timeout"].removesuffix("s"))
