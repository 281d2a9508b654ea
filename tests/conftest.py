"""For all tests: Hypothesis judges results, not how fast this machine happens to be."""

from hypothesis import settings

settings.register_profile("labctl", deadline=None)
settings.load_profile("labctl")
