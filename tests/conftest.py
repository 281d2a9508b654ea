"""For all tests: Hypothesis judges results, not how fast this machine happens to be."""

import os

import pytest
from hypothesis import settings

# Tests start hundreds of processes: each would compile all of labctl anew where the environment says so.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

settings.register_profile("labctl", deadline=None)
settings.register_profile("thorough", deadline=None, max_examples=5000)
settings.load_profile("labctl")

#: Files that take longest. They are handed out first: a worker that began one last would keep the others waiting.
_LONG = ("test_kills.py", "test_fuzz.py", "test_worlds.py", "test_demo.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in _LONG)
