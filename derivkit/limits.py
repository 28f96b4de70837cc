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
FORMULA_LENGTH = 20_000
FORMULA_NESTING = 40
FORMULAS = 5_000
MACROS = 200
MACRO_DEPTH = 20
EXPANSIONS = 1_000
