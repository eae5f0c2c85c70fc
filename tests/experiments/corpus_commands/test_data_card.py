"""The data card: what its tables show."""

import shutil
from pathlib import Path

import numpy as np

from pretraingym.experiments.corpus_commands.data_card import data_card
from pretraingym.lm.corpus.corpus import Corpus, Labels
from pretraingym.lm.corpus.writer import add_labels


def test_a_category_with_a_bar_stays_in_its_cell(tiny_corpus: Corpus, tmp_path: Path) -> None:
    copy = Corpus.open(shutil.copytree(tiny_corpus.path, tmp_path / "c"))
    corpus = add_labels(copy, {"kind": Labels(("a|b",), None, np.zeros(copy.num_documents, np.uint16))})
    assert f"\n| a\\|b |  | {len(copy.splits['train']):,} | " in data_card(corpus)
