"""Settings of all tests."""

from hypothesis import settings

# A deadline would be an assertion about time: the first example pays for imports, and machines are shared.
settings.register_profile("harness", deadline=None)
settings.load_profile("harness")
