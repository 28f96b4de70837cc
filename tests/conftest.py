"""Hypothesis: no deadlines (machines differ), and the same examples on every run in CI.  Golden pages: ``--update-golden``."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that rewrites the golden pages, to be reviewed as a diff."""
    parser.addoption("--update-golden", action="store_true", help="write tests/golden anew")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Say whether the golden pages are to be written anew."""
    return bool(request.config.getoption("--update-golden"))
