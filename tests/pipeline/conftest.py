from pathlib import Path

import pytest

from support.recorded import Recorded


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    folder = tmp_path / "bin"
    folder.mkdir()
    return Recorded(folder)
