"""A corpus's text as agents see it when they label it, and the models that judge it."""
