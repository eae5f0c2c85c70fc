"""pretraingym corpus label adds label columns to a built corpus; pretraingym corpus card shows what is in one."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from ...env.agents.labelling import label_corpus
from ...env.agents.registry import check_column_name, make_labellers
from ...lm.corpus.bins import quantile_bins
from ...lm.corpus.corpus import Corpus, Labels
from ...lm.corpus.token_set import check_tokens
from ...lm.corpus.writer import add_labels, check_new_labels, labelling
from ...lm.ingest.documents import DOMAIN
from ...lm.ingest.held_out import default_tasks
from ...lm.io.errors import InputError
from ..progress import Progress
from .data_card import data_card, write_card


@dataclass(frozen=True)
class LabelConfig:
    """Add label columns to a built corpus: those of agents, or scores from elsewhere. `pretrain --resume` goes on
    with it; learning runs that began with the corpus as it was cannot be resumed with it."""

    corpus: Path
    """folder of the corpus"""
    agents: tuple[str, ...] = ()
    """agents that label text, as in: perplexity quality:model=FOLDER"""
    scores: dict[str, Path] = field(default_factory=dict)
    """a label's name and a .npy file with one number for each document, in the corpus's order; NaN for none"""
    overwrite: bool = False
    """replace columns that have the same names; the old ones count until the new ones are whole"""


@dataclass(frozen=True)
class CardConfig:
    """Show the data card of a corpus, after all its files have been checked against their hashes."""

    corpus: Path
    """folder of the corpus"""


def label(config: LabelConfig) -> dict[str, Any]:
    """Add the columns and write the data card again."""
    with labelling(config.corpus):
        corpus = Corpus.open(config.corpus, verify=True)
        corpus = add_labels(corpus, _columns(config, corpus), config.overwrite)
        write_card(corpus)
    return {"corpus": str(config.corpus), "labels": list(corpus.labels), "fingerprint": corpus.fingerprint}


def _columns(config: LabelConfig, corpus: Corpus) -> dict[str, Labels]:
    """The columns to add. InputError: they are none, or cannot be added to this corpus."""
    for name in config.scores:
        check_column_name(name)
    if DOMAIN in config.scores:
        raise InputError(f"a score is called '{DOMAIN}', as the column of the text's sources is; take another name")
    agents = make_labellers(config.agents, default_tasks(corpus.reference_tasks))
    names = [*config.scores, *(agent.name for agent in agents)]
    if not names:
        raise InputError("nothing to add is given; name --agents, or --scores with their files")
    if both := config.scores.keys() & {agent.name for agent in agents}:
        raise InputError(f"'{min(both)}' is named as an agent and as a score; leave one out")
    if not config.overwrite:
        check_new_labels(corpus, names)
    found = {name: _scores(name, path, corpus) for name, path in config.scores.items()}
    if agents:
        with Progress() as progress:
            progress.stage("label", None)
            tell = partial(progress.update, total=1.0)
            found |= label_corpus(corpus.texts, corpus.splits, corpus.labels[DOMAIN], tell, agents=agents)
    return found


def card(config: CardConfig) -> dict[str, Any]:
    """Check the corpus and print its data card."""
    corpus = Corpus.open(config.corpus, verify=True)
    check_tokens(config.corpus)
    print(data_card(corpus))
    return {"corpus": str(config.corpus), "documents": corpus.num_documents, "fingerprint": corpus.fingerprint}


def _scores(name: str, path: Path, corpus: Corpus) -> Labels:
    """The scores in a .npy file, cut into bins. InputError: not one finite number or NaN for each document."""
    try:
        with open(path, "rb") as file:
            scores = np.load(file, allow_pickle=False)
        if not isinstance(scores, np.ndarray):
            raise ValueError("several arrays")
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise InputError(f"{path} is no .npy file of numbers ({error}); write one with numpy.save") from None
    if scores.shape != (corpus.num_documents,) or scores.dtype.kind not in "fiu":
        raise InputError(
            f"scores '{name}' in {path} are {scores.dtype} {scores.shape}, expected numbers ({corpus.num_documents},): "
            "one a document of the corpus, in its order"
        )
    if np.isinf(scores.astype(np.float64)).any():
        raise InputError(f"scores '{name}' in {path} hold infinite numbers, expected finite ones, or NaN for none")
    sizes, train = np.diff(corpus.texts.offsets), corpus.splits["train"]
    return quantile_bins(scores.astype(np.float64), sizes, train)
