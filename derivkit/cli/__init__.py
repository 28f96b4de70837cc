"""The command line: a table of commands, one module for each, loaded when it is asked for."""

from __future__ import annotations

from derivkit.cli.main import main

__all__ = ["main"]
