"""Text for tables in Markdown."""


def table_cell(text: str) -> str:
    """The text for one cell: in one line, and its bars are no borders."""
    return " ".join(text.split()).replace("|", "\\|")
