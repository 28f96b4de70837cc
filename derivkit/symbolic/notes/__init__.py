"""Formulas as people write them: documents, their formulas, and the trees of what stands in them."""
