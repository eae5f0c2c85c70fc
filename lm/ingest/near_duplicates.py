"""Near-duplicates: training documents that are, in most of their runs of words, a document that was read before."""

import re
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from ..io.errors import InputError
from .documents import Document

OF_TRAINING = "near-duplicates of training documents, left out"
OF_REFERENCE = "near-duplicates of reference documents, left out"
RUN = 5  # words
PERMUTATIONS, SEED = 128, 1
FOUND = 0.9  # of the pairs whose similarity is the threshold itself, how many share a band at least
RUNS_AT_A_TIME = 8192  # of a long document: four megabytes
# Letters and digits; each character of a script that is written without spaces is a word.
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
WORD = re.compile(f"[{UNSPACED}]|[^\\W{UNSPACED}]+")


def check_threshold(threshold: float) -> None:
    """InputError: it is no similarity."""
    if not 0 < threshold <= 1:
        raise InputError(f"near_duplicates is {threshold}, expected a similarity above 0 and at most 1, such as 0.8")


class NearDuplicates:
    """Leaves out training documents that are near-duplicates of a reference document, or of an earlier training
    document that stayed: the first of a group stays.

    Two documents are near-duplicates if the Jaccard similarity of their sets of runs of five words is `threshold` or
    more, in (0, 1]; case, punctuation and spaces do not count. It is estimated by MinHash (Broder 1997, On the
    resemblance and containment of documents): the share of 128 fixed permutations under which both sets have the same
    least element, whose standard error is at most .044. Only documents that agree in a whole band of permutations are
    compared (Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, 3.4); with bands as wide as they can be, nine of
    ten pairs at the threshold do, and nearly all above it. Of those that agree in a band, a document is compared with
    the first alone. So where many documents are alike, but not near-duplicates of that one, some pairs are missed.

    Decontamination asks another question: whether a document shares any one paragraph with reference text, word for
    word, however little of the document that is. It does not see text of which every paragraph is changed a little.

    What stays depends on the documents and their order alone. Memory: two kilobytes for each document that stays."""

    def __init__(self, threshold: float, references: Iterable[Document] = ()) -> None:
        from datasketch import MinHash

        check_threshold(threshold)
        self.threshold = threshold
        self._empty = MinHash(PERMUTATIONS, seed=SEED, hashfunc=zlib.crc32, scheme="affine32")
        self._rows = _rows(threshold)
        self._signatures = array("I")  # of the documents that stayed, one after another
        # For each band, the first document that had these values in it.
        self._bands: list[dict[int, int]] = [{} for _ in range(PERMUTATIONS // self._rows)]
        for document in references:
            self._keep(self._signature(document.text))
        self._num_references = self._num_kept

    def first_ones(self, documents: Iterable[Document], counts: Counter[str]) -> Iterator[Document]:
        """The documents that are no near-duplicates; the others are counted."""
        for document in documents:
            signature = self._signature(document.text)
            original = self._find(signature)
            if original is None:
                self._keep(signature)
                yield document
            else:
                counts[OF_REFERENCE if original < self._num_references else OF_TRAINING] += 1

    @property
    def _num_kept(self) -> int:
        return len(self._signatures) // PERMUTATIONS

    def _signature(self, text: str) -> NDArray[np.uint32]:
        words = [word.encode() for word in WORD.findall(text.lower())] or [text.encode("utf-8", "replace")]
        sketch = self._empty.copy()
        last = max(len(words) - RUN + 1, 1)
        for start in range(0, last, RUNS_AT_A_TIME):
            places = range(start, min(start + RUNS_AT_A_TIME, last))
            sketch.update_batch([b" ".join(words[place : place + RUN]) for place in places])
        return sketch.hashvalues

    def _keys(self, signature: NDArray[np.uint32]) -> Iterator[tuple[dict[int, int], int]]:
        """For each band, its table and where this document stands in it."""
        data, width = signature.tobytes(), self._rows * signature.itemsize
        for band, table in enumerate(self._bands):
            yield table, zlib.crc32(data[band * width : (band + 1) * width])

    def _find(self, signature: NDArray[np.uint32]) -> int | None:
        """The first document that stayed, and is near enough."""
        candidates = {table[key] for table, key in self._keys(signature) if key in table}
        for candidate in sorted(candidates):
            other = self._signatures[candidate * PERMUTATIONS : (candidate + 1) * PERMUTATIONS]
            if np.mean(np.array(other) == signature) >= self.threshold:
                return candidate
        return None

    def _keep(self, signature: NDArray[np.uint32]) -> None:
        number = self._num_kept
        self._signatures.frombytes(signature.tobytes())
        for table, key in self._keys(signature):
            table.setdefault(key, number)


def _rows(threshold: float) -> int:
    """The most permutations a band may have so that pairs at the threshold are found: a pair of similarity s agrees in
    one of b bands of r permutations with probability 1 - (1 - s^r)^b."""
    wide = [r for r in range(1, PERMUTATIONS + 1) if 1 - (1 - threshold**r) ** (PERMUTATIONS // r) >= FOUND]
    return max(wide, default=1)
