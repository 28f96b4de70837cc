"""``python -m derivkit`` is the command line."""

from __future__ import annotations

from derivkit.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
