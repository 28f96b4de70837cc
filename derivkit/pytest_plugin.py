"""The pytest fixture ``check_gradient`` and the option ``--derivkit-seed``; loads nothing of derivkit until a test uses it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

import derivkit


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--derivkit-seed``."""
    group = parser.getgroup("derivkit")
    group.addoption("--derivkit-seed", type=int, default=0, help="seed of the directions that gradient checks measure (0)")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker ``derivkit``."""
    config.addinivalue_line("markers", "derivkit(rtol, allow_undecided, seed): options of the fixture check_gradient")


@pytest.fixture
def check_gradient(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Return :func:`derivkit.assert_gradient`: fails the test, with the report, when a gradient is wrong.

    Its seed is ``--derivkit-seed``; ``@pytest.mark.derivkit(rtol=1e-3)`` sets its options for a whole test.
    """
    options = {"seed": request.config.getoption("--derivkit-seed")}
    for marker in reversed(list(request.node.iter_markers("derivkit"))):
        options |= marker.kwargs
    return partial(derivkit.assert_gradient, **options)
