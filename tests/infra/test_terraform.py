"""The configuration through Terraform itself, with providers that know the schema and no cloud."""

from pathlib import Path

import pytest

from support.terraform import CONFIGURATION, Outcome, Terraform, TerraformMissing

RUNS = {"services", "memory_watch_and_pipeline", "domain", "first_apply", "a_public_cleanup"}


def test_every_run_of_its_own_tests_passes(tested: Outcome) -> None:
    assert tested.complaints == []
    assert tested.passed
    assert tested.runs.keys() >= RUNS


def test_the_bootstrap_is_valid_and_its_tests_pass(tmp_path: Path) -> None:
    try:
        bootstrap = Terraform(tmp_path, CONFIGURATION / "bootstrap")
    except TerraformMissing as missing:
        pytest.skip(str(missing))
    assert not bootstrap.validate()
    tested = bootstrap.test()
    assert tested.complaints == []
    assert tested.passed


def test_a_word_no_provider_knows_is_found(terraform: Terraform) -> None:
    terraform.change("gateway.tf", "session_affinity = true", "sticky_sessions = true")
    assert "sticky_sessions" in terraform.validate()


def test_mistakes_that_are_well_formed_are_found(terraform: Terraform) -> None:
    terraform.change("cleanup.tf", "INGRESS_TRAFFIC_INTERNAL_ONLY", "INGRESS_TRAFFIC_ALL")
    terraform.change("gateway.tf", "invoker_iam_disabled = true", "invoker_iam_disabled = false")
    terraform.change("secrets.tf", "gateway_secrets = local.pinned", "gateway_secrets = {}")
    terraform.change("firestore.tf", "roles/datastore.user", "roles/datastore.owner")
    assert not terraform.validate()
    tested = terraform.test("service")
    told = "\n".join(tested.complaints)
    assert tested.runs["services"] == "fail"
    for said in (
        "The cleanup is reached from inside",
        "The gateway is public and signs people in itself",
        "Secrets come from Secret Manager",
        "Both accounts reach this database and no other",
    ):
        assert said in told


def test_names_are_made_of_nothing_random() -> None:
    text = "".join(path.read_text() for path in CONFIGURATION.rglob("*.tf"))
    assert "random_" not in text
    assert "uuid(" not in text
    assert "timestamp(" not in text


def test_nobody_takes_the_services_away_by_forgetting_the_image() -> None:
    """Without one there are none: the first apply says so, every other one has to name it."""
    text = (CONFIGURATION / "variables-pipeline.tf").read_text()
    block = text.partition('variable "image"')[2].partition("\n}\n")[0]
    assert "nullable    = false" in block
    assert "default " not in block


def test_no_secret_has_a_value_in_the_configuration() -> None:
    text = "".join(path.read_text() for path in CONFIGURATION.rglob("*.tf*"))
    assert "google_secret_manager_secret_version" not in text
    assert "secret_data" not in text


def test_variables_stand_in_the_order_of_their_names() -> None:
    for file in CONFIGURATION.rglob("variables*.tf"):
        lines = file.read_text().splitlines()
        names = [line.split('"')[1] for line in lines if line.startswith("variable ")]
        assert names == sorted(names)
        assert names
