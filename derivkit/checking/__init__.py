"""The checking wing: any claimed gradient shown right, or wrong with the reason; needs NumPy alone."""
