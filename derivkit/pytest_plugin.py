"""The pytest fixture ``check_gradient``; loads nothing of derivkit until a test uses it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import derivkit


@pytest.fixture
def check_gradient() -> Callable[..., object]:
    """Return :func:`derivkit.assert_gradient`: fails the test, with the report, when a gradient is wrong."""
    return derivkit.assert_gradient
