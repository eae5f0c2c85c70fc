"""Single-file programs to read and to copy from."""
