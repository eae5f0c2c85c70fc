"""One HTML page: it needs no network, no script and no other file."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from ...lm.io.files import write_atomic
from ..analysis.statistics import NONE, known


def write_page(path: Path, title: str, body: str) -> Path:
    """Write the page and return its path."""
    css = Path(__file__).with_name("report.css").read_text()
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>PretrainGym: {escape(title)}</title>\n<style>\n{css}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )
    write_atomic(path, page.encode())
    return path


def figure(svg: str, caption: str) -> str:
    return f'<figure><div class="scroll">{svg}</div><figcaption>{escape(caption)}</figcaption></figure>'


def html_table(head: Sequence[str], rows: Sequence[Sequence[str]], strong: str | None) -> str:
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    body = ""
    for name, *cells in rows:
        mark = ' class="learned"' if name == strong else ""
        body += (
            f'<tr{mark}><th scope="row">{escape(name)}</th>'
            + "".join(f"<td>{escape(c)}</td>" for c in cells)
            + "</tr>\n"
        )
    return f'<div class="scroll"><table>\n<thead><tr>{titles}</tr></thead>\n<tbody>\n{body}</tbody></table></div>'


def number(value: Any) -> str:
    return f"{value:.3f}" if known(value) else NONE


def duration(seconds: float | None) -> str | None:
    return f"{seconds // 60:.0f} min {seconds % 60:02.0f} s" if seconds is not None else None
