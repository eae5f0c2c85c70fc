"""Cells of Markdown tables."""

from pretraingym.lm.io.markdown import table_cell


def test_a_cell_is_one_line_without_borders() -> None:
    assert table_cell("a|b\n\n c\td|") == "a\\|b c d\\|"
