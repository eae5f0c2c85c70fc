"""Cells: documents with the same labels, how windows are drawn from them, and how a budget is spent on them."""
