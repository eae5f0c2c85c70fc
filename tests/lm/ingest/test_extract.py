"""Taking files apart: docstrings against ast's own view of what is left, documents against their size limits."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretraingym.lm.ingest.extract import MAX_BYTES, MIN_BYTES, domains_of, extract, pack, paragraphs, split_python
from pretraingym.lm.ingest.sentences import explains

LONG = "A docstring that is long enough to be kept, since it has more than sixty characters."
MODULE = f'''"""{LONG} Module."""
import os

class A:
    """{LONG} Class."""

    def f(self):
        """{LONG} Method."""
        if self:
            def g():
                r"""{LONG} Inner."""  # noqa
                return 1
        return 'not a docstring'

    def only(self):
        """{LONG} Alone."""

    def line(self): """{LONG} Beside."""

    def short(self):
        """Short."""
        return os
'''


def test_docstrings_leave_the_code() -> None:
    """All docstrings come out in order, but short ones; what stays parses and has none but one that shares its line."""
    docstrings, code = split_python(MODULE)
    assert [text.split()[-1] for text in docstrings] == ["Module.", "Class.", "Method.", "Inner.", "Alone.", "Beside."]
    tree = ast.parse(code)
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    left = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds)]
    assert [text for text in left if text] == [f"{LONG} Beside."]
    assert "not a docstring" in code
    assert "        pass" in code


@pytest.mark.parametrize("text", ["def broken(:\n", "\0", "x = (" * 300, "print 'python 2'\n"])
def test_what_does_not_parse_gives_nothing(text: str) -> None:
    """A file that is no Python gives no documents and no error."""
    assert split_python(text) == ([], "")


@pytest.mark.parametrize(
    ("name", "domains"),
    [
        ("numpy/numpy/core.py", ("prose", "code")),
        ("numpy/numpy/tests/helper.py", ("tests",)),
        ("python/test/test_os.py", ("tests",)),
        ("numpy/numpy/testing.py", ("prose", "code")),
        ("x/x/conftest.py", ("tests",)),
        ("x/x-1.dist-info/METADATA", ("prose",)),
        ("x/x-1.dist-info/RECORD", ()),
        ("x/x-1.dist-info/top_level.txt", ()),
        ("x/x-1.dist-info/licenses/LICENSE.txt", ("licences",)),
        ("x/x/license.py", ("prose", "code")),
        ("x/include/x.h", ("native",)),
        ("x/x.pyi", ("stubs",)),
        ("x/x/data.csv", ("data",)),
        ("x/x/lib.so", ()),
    ],
)
def test_domains(name: str, domains: tuple[str, ...]) -> None:
    """Which domains a file's name stands for."""
    assert domains_of(name) == domains


def test_licence_comments_and_metadata_headers_go() -> None:
    """A comment of rights before the code and the headers before a description are left out; other comments stay."""
    body = "int value(int first, int second);\n" * 10
    assert extract("x/x.h", f"/* Copyright\n * someone */\n// more\n{body}")["native"] == [body]
    assert extract("x/x.h", f"// Adds numbers.\n{body}")["native"] == [f"// Adds numbers.\n{body}"]
    text = "What it is for. " * 20
    assert extract("x/x-1.dist-info/METADATA", f"Name: x\nVersion: 1\n\n{text}")["prose"] == [f"{text.strip()}\n"]


def test_paragraphs_keep_indentation() -> None:
    """Blank lines divide, also those of white space; lines keep the white space they begin with."""
    assert list(paragraphs("\n\na\n  b\n \n\n    c\n\t\n")) == ["a\n  b", "    c"]


@given(st.lists(st.text(st.sampled_from("ab é\n🙂"), max_size=3000), max_size=8))
def test_documents_keep_their_size(blocks: list[str]) -> None:
    """Every document has MIN_BYTES to MAX_BYTES bytes, whatever the blocks are."""
    for document in pack(blocks):
        assert MIN_BYTES <= len(document.encode()) <= MAX_BYTES


def test_long_text_is_cut_at_line_ends_without_loss() -> None:
    """A long block comes back whole, line by line, but for minified lines."""
    lines = [f"line {i} of many" for i in range(2000)]
    documents = pack(["\n".join(lines), "x" * 5000])
    assert [line for document in documents for line in document.splitlines()] == lines


def test_explaining() -> None:
    """Sentences explain; parameter lists and examples do not."""
    assert explains("This makes an array of the given shape. It is filled with zeros when no value is given. " * 5)
    assert not explains("Parameters\n----------\nx : int\ny : float, optional\n" * 9)
    assert not explains(">>> f(1)\n2\n" * 20)
