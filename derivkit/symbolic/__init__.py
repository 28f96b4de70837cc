"""The symbolic wing: programs as index-notation graphs, their derivatives, and how these are printed."""
