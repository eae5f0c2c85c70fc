"""Sentences in a text: they tell explanations from lists of parameters, tables and examples."""

import re

SENTENCE = re.compile(r"[a-z)`*\"']\.(?=\s|$)")
WORD = re.compile(r"\b[a-z]{2,}\b")


def sentences_per_kilobyte(text: str) -> float:
    """Ends of sentences for every 1,000 characters."""
    return 1000 * len(SENTENCE.findall(text)) / max(len(text), 1)


def explains(text: str) -> bool:
    """Whether most of `text` is sentences of plain words: 8 sentences a kilobyte of running prose is common, parameter
    lists have 2 or 3; two thirds of prose's characters are lower-case words."""
    words = sum(map(len, WORD.findall(text)))
    return sentences_per_kilobyte(text) >= 5 and words >= 0.6 * len(text) and ">>>" not in text
