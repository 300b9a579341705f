"""What tests of the infrastructure share: what Terraform makes of it, and a life in the service."""

import pytest

from infra.life import Life, lived
from support.terraform import Outcome, Terraform, TerraformMissing


@pytest.fixture(scope="session")
def tested(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """All runs of the configuration's own tests, once."""
    terraform = _terraform(tmp_path_factory)
    assert not terraform.validate()
    return terraform.test()


@pytest.fixture
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    """A copy to change."""
    return _terraform(tmp_path_factory)


@pytest.fixture(scope="session")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    return lived(tmp_path_factory.mktemp("life"))


def _terraform(factory: pytest.TempPathFactory) -> Terraform:
    try:
        return Terraform(factory.mktemp("terraform"))
    except TerraformMissing as missing:
        pytest.skip(str(missing))
