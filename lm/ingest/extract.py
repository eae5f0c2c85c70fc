"""From a file to documents: its domain, docstrings taken out of code, and long text cut into pieces."""

import ast
import gc
import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

MIN_BYTES, MAX_BYTES = 200, 4096  # of a document
MAX_LINE = 400  # characters; longer lines are minified or encoded
MIN_DOCSTRING = 60  # characters

PROSE, CODE, TESTS, NATIVE, STUBS, DATA, LICENCES = "prose", "code", "tests", "native", "stubs", "data", "licences"
DOMAINS = (PROSE, CODE, TESTS, NATIVE, STUBS, DATA, LICENCES)
SUFFIXES = {
    PROSE: {".rst", ".md"},
    NATIVE: {".h", ".hpp", ".cuh", ".cu", ".c", ".cc", ".cpp", ".pyx", ".pxd", ".pxi"},
    STUBS: {".pyi"},
    DATA: {".csv", ".json", ".txt", ".dat", ".yaml", ".afm", ".tsv", ".dectest", ".xml", ".toml"},
}
LICENCE_NAME = re.compile(r"(licen[cs]e|copying|notice|authors)", re.IGNORECASE)
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
COMMENT = re.compile(r"\s*(?:(?:#(?!include|if|define|pragma|ifndef)|//)[^\n]*\n\s*|/\*.*?\*/\s*)+", re.DOTALL)
TEST_NAME = re.compile(r"(^|/)(tests?|testing|idle_test|lib2to3_tests)/|(^|/)(test_[^/]*|[^/]*_test|conftest)\.py$")


def domains_of(name: str) -> tuple[str, ...]:
    """The domains of the documents that the file called `name` (with forward slashes) can give; () = none."""
    path = PurePosixPath(name)
    suffix = path.suffix.lower()
    if LICENCE_NAME.match(path.name) and suffix not in {".py", ".h", ".json"}:
        return (LICENCES,)
    if path.name == "METADATA":
        return (PROSE,)
    if any(part.endswith((".dist-info", ".egg-info")) for part in path.parts):
        return ()
    if suffix == ".py":
        return (TESTS,) if TEST_NAME.search(name) else (PROSE, CODE)
    return tuple(domain for domain, suffixes in SUFFIXES.items() if suffix in suffixes)


def extract(name: str, text: str) -> dict[str, list[str]]:
    """The documents of one file, by domain."""
    domains = domains_of(name)
    if not domains or not text.strip():
        return {}
    if domains == (PROSE, CODE):
        docstrings, code = split_python(text)
        return {PROSE: pack(docstrings), CODE: pack(paragraphs(without_licence(code)))}
    if name.endswith("METADATA"):
        text = text.partition("\n\n")[2]  # the long description follows the headers
    if domains != (LICENCES,):
        text = without_licence(text)
    return {domains[0]: pack(paragraphs(text))}


def split_python(text: str) -> tuple[list[str], str]:
    """(docstrings in order, the code without them); both are empty for a file that does not parse."""
    tree = _parse(text)
    if tree is None:
        return [], ""
    lines: list[str | None] = list(text.split("\n"))
    found = []
    nodes: list[ast.AST] = [tree]
    while nodes:
        node = nodes.pop()
        for branch in ("body", "orelse", "handlers", "finalbody"):  # statements alone: expressions hold no docstrings
            nodes.extend(getattr(node, branch, None) or ())
        if isinstance(node, Documented):
            docstring = ast.get_docstring(node)
            if docstring is not None:
                found.append((node.body[0].lineno, docstring))
                _blank_docstring(node, lines)
    kept = [docstring for _, docstring in sorted(found) if len(docstring) >= MIN_DOCSTRING]
    return kept, "\n".join(line for line in lines if line is not None)


def _parse(text: str) -> ast.Module | None:
    """The syntax tree of `text`, None if it does not parse. Garbage collection is off meanwhile: it would walk each
    tree several times as it grows, which takes longer than the parsing, and trees hold no cycles."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about invalid escapes in strings
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    finally:
        if collecting:
            gc.enable()


def _blank_docstring(node: Documented, lines: list[str | None]) -> None:
    """Replace the lines of a node's docstring by None, or by `pass` where nothing else is in the body."""
    place = node.body[0]
    first, last = place.lineno - 1, (place.end_lineno or place.lineno) - 1
    begin, end = lines[first], lines[last]
    if begin is None or end is None:
        return
    # Columns count UTF-8 bytes. Only white space may come before a docstring on its line, else it stays.
    indent, rest = begin[: place.col_offset], end.encode()[place.end_col_offset :]
    if indent.strip() or rest.strip()[:1] not in {b"", b"#"}:
        return  # it shares its line with code
    alone = len(node.body) == 1 and not isinstance(node, ast.Module)
    lines[first : last + 1] = [indent + "pass" if alone else None] + [None] * (last - first)


def without_licence(text: str) -> str:
    """`text` without the comment at its beginning, if that is about copyright or a licence."""
    head = COMMENT.match(text)
    if head and re.search("copyright|licen[cs]e", head[0], re.IGNORECASE):
        return text[head.end() :]
    return text


def paragraphs(text: str) -> Iterator[str]:
    """The blocks of `text` between blank lines, with their indentation."""
    for block in re.split(r"\n(?:[ \t]*\n)+", text):
        if block.strip():
            yield block.strip("\n").rstrip()


def pack(blocks: Iterable[str]) -> list[str]:
    """Join consecutive blocks by blank lines into documents of MIN_BYTES to MAX_BYTES. A longer block is cut at line
    ends; one with a line over MAX_LINE is left out, and so is a document that stays too short."""
    documents: list[str] = []
    held: list[str] = []
    size = 0

    def flush() -> None:
        nonlocal size
        text = "\n\n".join(held)
        if len(text.encode("utf-8", "replace")) >= MIN_BYTES:
            documents.append(text + "\n")
        held.clear()
        size = 0

    for block in blocks:
        if max(map(len, block.split("\n"))) > MAX_LINE:
            continue
        for piece in _cut(block):
            length = len(piece.encode("utf-8", "replace")) + 2
            if size + length >= MAX_BYTES:
                flush()
            held.append(piece)
            size += length
    flush()
    return documents


def _cut(block: str) -> Iterator[str]:
    """`block` in pieces of at most about MAX_BYTES, cut at blank lines where there are some, else at line ends."""
    if len(block) <= MAX_BYTES // 4 or len(block.encode("utf-8", "replace")) < MAX_BYTES:
        yield block
        return
    parts = block.split("\n\n")
    if len(parts) > 1:
        for part in parts:
            if part.strip():
                yield from _cut(part.strip("\n"))
        return
    held: list[str] = []
    size = 0
    for line in block.split("\n"):
        length = len(line.encode("utf-8", "replace")) + 1
        if size + length >= MAX_BYTES - 2:
            yield "\n".join(held)
            held, size = [], 0
        held.append(line)
        size += length
    yield "\n".join(held)
