"""The algorithms that learn a console, one a file."""
