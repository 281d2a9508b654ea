"""For all tests: Hypothesis judges results, not how fast this machine happens to be."""

import os

from hypothesis import settings

# Tests start hundreds of processes: each would compile all of labctl anew where the environment says so.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

settings.register_profile("labctl", deadline=None)
settings.register_profile("thorough", deadline=None, max_examples=5000)
settings.load_profile("labctl")
