"""Printing: one notation in three styles, and the doors text, LaTeX, JSON and program text."""
