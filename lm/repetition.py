"""Leaving out text that was already taken: whole documents, and copies in which only names and numbers differ."""

import re

UNIT = 80  # normalised characters; shorter paragraphs (imports, decorators) repeat by nature
MAX_SHARE = 0.25
PLAIN_WORD = re.compile(r"\b[a-z][a-z_]+\b")


class Repetition:
    """Paragraphs seen so far. Code and prose are compared by their lower-case words alone, so that a copied class under
    another name, with other numbers, is still a copy; tables (`exact`) by all but white space."""

    def __init__(self) -> None:
        self._train: set[int] = set()  # hashes of 64 bits: they differ between processes, what they tell does not
        self._reference: set[int] = set()

    def accept(self, text: str, exact: bool, reference: bool) -> bool:
        """Whether to keep `text`; if so, remember it. A document is refused when more than a quarter of it was seen, or
        when it shares any paragraph with a reference document, so that no reference text is trained on."""
        normal = (_normal(block, exact) for block in text.split("\n\n"))
        units = [(hash(unit), len(unit)) for unit in normal if len(unit) >= UNIT]
        whole = hash(" ".join(text.split()))
        keys = {key for key, _ in units} | {whole}
        if keys & self._reference:
            return False
        seen = sum(length for key, length in units if key in self._train)
        if whole in self._train or seen > MAX_SHARE * sum(length for _, length in units):
            return False
        (self._reference if reference else self._train).update(keys)
        return True


def _normal(block: str, exact: bool) -> str:
    return " ".join(block.split() if exact else PLAIN_WORD.findall(block))
