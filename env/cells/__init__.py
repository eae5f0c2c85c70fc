"""Cells: documents with the same labels, draws of windows from them, and budgets of tokens spent on them."""
