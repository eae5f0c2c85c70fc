"""Documents cut into pieces of about the same length, so that long and short ones are judged by equal measures."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

PIECE_BYTES = 400  # about a paragraph
OF_ONE = 1 / 6  # of the pieces that are chosen, those of one document at most


@dataclass(frozen=True)
class Pieces:
    """The pieces of D documents, document by document. features: (pieces, NUM_FEATURES); count: (D,), how
    many each document has, at least one."""

    features: "csr_matrix"
    count: NDArray[np.int64]

    def means(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Means of values (pieces, any) over the pieces of each document, (D, any)."""
        first = np.cumsum(self.count) - self.count
        return np.add.reduceat(values.astype(np.float64), first) / self.count[:, None]


def piece_counts(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many pieces documents of these sizes (D,), in bytes, are cut into, (D,)."""
    return np.maximum(np.rint(sizes / PIECE_BYTES), 1).astype(np.int64)


def cut(text: str, count: int) -> list[str]:
    """`count` pieces of the text, with as many characters each."""
    edges = [len(text) * place // count for place in range(count + 1)]
    return [text[begin:end] for begin, end in zip(edges[:-1], edges[1:], strict=True)]


def chosen(count: NDArray[np.int64], most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Numbers of at most `most` pieces of documents that have so many (D,), rising, by chance: no document has more
    than OF_ONE of them, and of up to most / 2 documents each has one, however long the others are."""
    first = np.cumsum(count) - count
    order = rng.permutation(count.sum())
    owner = np.searchsorted(first, order, side="right") - 1
    by_owner = np.argsort(owner, kind="stable")
    rank = np.empty_like(order)  # among the pieces of its document
    rank[by_owner] = np.arange(len(order)) - first[owner[by_owner]]
    kept = rank < max(1, int(most * OF_ONE))
    order, rank = order[kept], rank[kept]
    if len(count) <= most / 2:
        order = np.concatenate([order[rank == 0], order[rank > 0]])
    return np.sort(order[:most])
