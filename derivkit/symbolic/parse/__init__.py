"""Reading text: our own lexer and Pratt parser; no user text reaches ``eval``, ``ast`` or SymPy."""

from derivkit.symbolic.parse.reader import read_expression as read_expression
from derivkit.symbolic.parse.reader import read_program as read_program
from derivkit.symbolic.parse.statements import parse_declaration as parse_declaration
from derivkit.symbolic.parse.statements import parse_program as parse_program
