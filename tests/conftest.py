"""Settings of all tests."""

import gc

import pytest
from hypothesis import settings

# A deadline would be an assertion about time: the first example pays for imports, and machines are shared.
settings.register_profile("harness", deadline=None)
settings.load_profile("harness")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps those tests of a module that share a fixture on one worker: it is made once, and not by each of them."""
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("xdist_group") is None:
            fixtures = item._fixtureinfo.name2fixturedefs.values()
            if any(definitions[-1].scope == "module" for definitions in fixtures):
                item.add_marker(pytest.mark.xdist_group(item.module.__name__))


def pytest_collection_finish() -> None:
    """Takes thousands of tests, and the modules that they are in, out of what each collection of garbage looks at."""
    gc.collect()
    gc.freeze()
