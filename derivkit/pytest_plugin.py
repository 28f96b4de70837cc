"""The pytest fixtures ``check_gradient``, ``check_vjp``, ``check_jvp`` and ``check_jacobian``, and ``--derivkit-seed``.

Every pytest run of an environment loads this file: it loads nothing of derivkit, and no NumPy, until a test uses a fixture.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import pytest

import derivkit

#: What a test may set with ``@pytest.mark.derivkit(...)``, and a call for itself.
OPTIONS = ("rtol", "allow_undecided", "seed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--derivkit-seed``."""
    group = parser.getgroup("derivkit")
    group.addoption(
        "--derivkit-seed", type=_seed, default=0, metavar="N", help="seed of the directions that gradient checks measure (0)"
    )


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"a seed is a number such as 0 or 7, not {text!r}")
    return int(text)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker ``derivkit``."""
    config.addinivalue_line("markers", f"derivkit({', '.join(OPTIONS)}): options of derivkit's fixtures")


@pytest.fixture
def check_gradient(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Return :func:`derivkit.check_gradient`, failing the test, with the whole report, when a gradient is wrong.

    Undecided fails too, unless ``allow_undecided=True``.  The seed is ``--derivkit-seed``;
    ``@pytest.mark.derivkit(rtol=1e-3)`` sets options for a whole test.
    """
    return _asserting("check_gradient", request)


@pytest.fixture
def check_vjp(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Return :func:`derivkit.check_vjp`, failing the test when a pullback is wrong, as ``check_gradient`` does."""
    return _asserting("check_vjp", request)


@pytest.fixture
def check_jvp(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Return :func:`derivkit.check_jvp`, failing the test when a pushforward is wrong, as ``check_gradient`` does."""
    return _asserting("check_jvp", request)


@pytest.fixture
def check_jacobian(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Return :func:`derivkit.check_jacobian`, failing the test when a Jacobian is wrong, as ``check_gradient`` does."""
    return _asserting("check_jacobian", request)


def _asserting(name: str, request: pytest.FixtureRequest) -> Callable[..., Any]:
    options: dict[str, Any] = {"seed": request.config.getoption("--derivkit-seed")}
    for marker in reversed(list(request.node.iter_markers("derivkit"))):
        if marker.args or set(marker.kwargs) - set(OPTIONS):
            pytest.fail(f"the marker derivkit takes {', '.join(f'{o}=' for o in OPTIONS)} only", pytrace=False)
        options |= marker.kwargs

    def check(f: Callable[..., Any], claim: Callable[..., Any], /, *args: Any, **own: Any) -> Any:
        __tracebackhide__ = True
        chosen = options | own
        allowed = chosen.pop("allow_undecided", False)
        report = getattr(derivkit, name)(f, claim, *args, **chosen)
        if not (report.ok or (report.undecided and allowed)):
            raise AssertionError(str(report))
        return report

    check.__name__ = name
    return check
