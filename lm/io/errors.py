"""The one error that means: the user's input cannot be used."""


class InputError(Exception):
    """Bad input, told in one line: what was given, what is expected, what to do. Commands exit with code 2 on it.

    No ValueError, which tyro would catch while it builds a configuration and wrap in a page of its own."""
