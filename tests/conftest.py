"""For all tests: Hypothesis judges results, not how fast this machine happens to be."""

from hypothesis import settings

settings.register_profile("labctl", deadline=None)
settings.register_profile("thorough", deadline=None, max_examples=5000)
settings.load_profile("labctl")
