"""A fresh laboratory for each test that wants one."""

import pytest
from laboratory_folder import Laboratory


@pytest.fixture
def laboratory(tmp_path) -> Laboratory:
    return Laboratory(tmp_path / "lab")
