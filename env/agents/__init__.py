"""The data-selection methods, one a file."""
