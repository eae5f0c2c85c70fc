"""What agents see of a corpus's text, and the models that judge it."""
