"""One causal language model: its architecture, its optimiser, what it costs, and how influence is measured on it."""
