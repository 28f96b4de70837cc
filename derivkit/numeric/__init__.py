"""Running: differences, data, kernels, training; NumPy arrays in, NumPy arrays out."""
