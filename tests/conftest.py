"""Hypothesis: no deadlines (machines differ), and the same examples on every run in CI.  Golden pages: ``--update-golden``."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


#: Of tests marked ``sweep`` one in so many runs, all of them with ``--whole`` and in CI.
SHARE = 6


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that rewrites the golden pages, to be reviewed as a diff, and the one that leaves nothing out."""
    parser.addoption("--update-golden", action="store_true", help="write tests/golden anew")
    parser.addoption("--whole", action="store_true", default=bool(os.environ.get("CI")), help="run long sweeps whole, as CI does")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", f"sweep: a long sweep, of which one in {SHARE} runs without --whole")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave most of the long sweeps to CI."""
    if config.getoption("--whole"):
        return
    long = [item for item in items if item.get_closest_marker("sweep")]
    left = {item for n, item in enumerate(long) if n % SHARE} if len(long) > SHARE else set()
    config.hook.pytest_deselected(items=[item for item in items if item in left])
    items[:] = [item for item in items if item not in left]


@pytest.fixture
def every(request: pytest.FixtureRequest) -> int:
    """Say that one in so many rows of a corpus is enough."""
    return 1 if request.config.getoption("--whole") else SHARE


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Say whether the golden pages are to be written anew."""
    return bool(request.config.getoption("--update-golden"))
