"""The limits on what is read and built; checked before the work, named in the message, settable from Python only."""

from __future__ import annotations

TEXT_BYTES = 64_000
FILE_BYTES = 1_000_000
TOKENS = 5_000
NESTING = 100
LITERAL_DIGITS = 40
LITERAL_EXPONENT = 308
LITERAL_POWER = 64
NAMES = 200
NAME_LENGTH = 64
RANK = 8
SIZE = 2**31
RESULT_NODES = 5_000
