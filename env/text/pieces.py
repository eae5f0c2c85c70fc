"""Documents cut into pieces of about the same length, so that long and short ones are judged by equal measures."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

PIECE_BYTES = 400  # about a paragraph


@dataclass(frozen=True)
class Pieces:
    """The pieces of D documents, document by document. features: (pieces, NUM_FEATURES); count: (D,), how
    many each document has, at least one."""

    features: csr_matrix
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
