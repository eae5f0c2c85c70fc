"""The one error that means: the user's input cannot be used."""


class InputError(Exception):
    """Bad input, told in one line: what was given, what is expected, what to do. Commands exit with code 2 on it.

    No ValueError, which tyro would catch while it builds a configuration and wrap in a page of its own."""


def in_one_line(error: BaseException, most: int = 240) -> str:
    """What an error of another library says, its lines joined, at most that many characters; its type if nothing."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= most else text[: most - 3] + "..."
