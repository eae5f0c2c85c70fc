"""The data card of a corpus: documents, text and tokens by split and by label, and what was left out."""

from typing import Any

import numpy as np

from ...lm.corpus.corpus import TRAIN, Corpus, Labels
from ...lm.io.files import write_atomic
from ...lm.io.markdown import table_cell
from .reference_sizes import TaskSize, task_sizes

CARD = "card.md"
LARGE, NAMED = 0.01, 3  # share of the training tokens from which a document is large; how many of them are named


def write_card(corpus: Corpus) -> None:
    """Save the card in the corpus's folder."""
    write_atomic(corpus.path / CARD, data_card(corpus).encode())


def data_card(corpus: Corpus) -> str:
    """The card as Markdown. Shares are of the training tokens."""
    tokens_D, bytes_D = np.diff(corpus.token_offsets), np.diff(corpus.texts.offsets)
    lines = [
        "# Data card",
        "",
        f"{corpus.num_documents:,} documents, {int(bytes_D.sum()) / 1e6:,.1f} MB of text, {int(tokens_D.sum()):,} "
        f"tokens of a vocabulary of {corpus.vocab_size:,}. Fingerprint {corpus.fingerprint[:16]}.",
        "",
        "| split | documents | MB | tokens |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, part in corpus.splits.items():
        inside = slice(part.start, part.stop)
        size, tokens = int(bytes_D[inside].sum()) / 1e6, int(tokens_D[inside].sum())
        lines.append(f"| {name} | {len(part):,} | {size:,.2f} | {tokens:,} |")
    sizes = task_sizes(corpus)
    if own := [f"- {size}" for size in sizes if size.task not in corpus.practice]:
        lines += ["", *own]
    lines += _practice(corpus.practice, [size for size in sizes if size.task in corpus.practice])
    for count, number in corpus.counts.items():
        lines += ["", f"{number:,} {count}."]
    without = int((tokens_D <= (corpus.end_of_text is not None)).sum())
    if without:
        lines += ["", f"{without:,} documents without tokens: the tokenizer knows none of their characters."]
    for source in corpus.bad_rows:
        lines += ["", *_bad_rows(source)]
    if large := large_documents(corpus):
        lines += ["", *(f"- {line}" for line in large)]
    train = corpus.splits[TRAIN]
    for name, labels in corpus.labels.items():
        lines += ["", *_table(name, labels, tokens_D[train.start : train.stop], train)]
    return "\n".join(lines) + "\n"


def large_documents(corpus: Corpus) -> list[str]:
    """A line for each of the NAMED largest training documents that alone are more than LARGE of the training tokens,
    and one line for all others of that size."""
    train, domain = corpus.splits[TRAIN], corpus.labels.get("domain")
    tokens_D = np.diff(corpus.token_offsets[train.start : train.stop + 1])
    share_D = tokens_D / max(int(tokens_D.sum()), 1)
    order = np.argsort(-share_D, kind="stable")
    large = [int(number) for number in order[: np.count_nonzero(share_D > LARGE)]]
    lines = []
    for number in large[:NAMED]:
        source = f" (domain {domain.names[domain.column[train.start + number]]})" if domain else ""
        lines.append(f"document {train.start + number}{source} alone is {share_D[number]:.1%} of the training tokens")
    if more := len(large[NAMED:]):
        lines.append(f"{more:,} more documents are more than {LARGE:.0%} of the training tokens each")
    return lines


def _practice(words: dict[str, str], sizes: list[TaskSize]) -> list[str]:
    """What the practice tasks are about, and how large they are."""
    if not sizes:
        return []
    head = ["", "| practice task | typical words | documents | error of a gain |", "| --- | --- | ---: | ---: |"]
    return head + [
        f"| {size.task} | {table_cell(words[size.task])} | {sum(size.documents.values()):,} | "
        f"{max(size.error.values()):.3f} |"
        for size in sizes
    ]


def _bad_rows(source: dict[str, Any]) -> list[str]:
    """What `Faults.facts` counted, as a table."""
    head = [f"{source['bad']:,} of {source['rows']:,} rows are bad and left out.", ""]
    head += ["| bad rows | what is wrong | the first of them |", "| ---: | --- | --- |"]
    return head + [
        f"| {kind['rows']:,} | {table_cell(name)} | {table_cell('; '.join(kind['first']))} |"
        for name, kind in source["kinds"].items()
    ]


def _table(name: str, labels: Labels, tokens_D: np.ndarray, train: range) -> list[str]:
    column = labels.column[train.start : train.stop]
    documents = np.bincount(column, minlength=len(labels.names))
    tokens = np.bincount(column, tokens_D, len(labels.names))
    head = [f"| {name} | value | documents | tokens | share |", "| --- | ---: | ---: | ---: | ---: |"]
    values = [f"{value:.4g}" for value in labels.values] if labels.values else [""] * len(labels.names)
    names, share = [table_cell(category) for category in labels.names], tokens / tokens.sum()
    rows = [
        f"| {names[i]} | {values[i]} | {documents[i]:,} | {int(tokens[i]):,} | {share[i]:.1%} |"
        for i in range(len(names))
    ]
    shown = rows if len(rows) <= 40 else [*rows[:40], f"| and {len(rows) - 40:,} more | | | | |"]
    return head + shown
