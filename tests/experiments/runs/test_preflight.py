"""What cannot be a policy is told before a corpus is built or read."""

from pathlib import Path

import pytest

from pretraingym.experiments.commands import pretrain
from pretraingym.experiments.commands.pretrain import PretrainConfig
from pretraingym.experiments.runs.preflight import check_policies
from pretraingym.experiments.runs.run_corpus import RECORD
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError


@pytest.mark.parametrize("policy", ["lift", "ten-tasks", "constant:match=1", "frozen-2:lift", "quality", "match-mine"])
def test_policies_pass(policy: str, tmp_path: Path) -> None:
    check_policies([policy], tmp_path, None)


@pytest.mark.parametrize("policy", ["—lift", "", "nosuch", "frozen-2:nosuch", "runs/none", "lift:strenght=1"])
def test_what_is_none_is_told(policy: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="policy|no "):
        check_policies([policy], tmp_path, None)


def test_labels_of_a_corpus_that_is_named_are_policies(tiny_corpus: Corpus, tmp_path: Path) -> None:
    check_policies(["domain", "topic"], tmp_path, tiny_corpus.path)
    check_policies(["mine"], _begun(tmp_path), None)  # the corpus that the run began with may have it


def test_a_dry_run_and_a_run_tell_it_before_the_corpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pretrain, "corpus_of_run", lambda *_, **__: pytest.fail("the corpus was read"))
    for dry_run in (True, False):
        with pytest.raises(InputError, match="unknown policy 'lfit'; did you mean 'lift'"):
            pretrain.main(PretrainConfig("lfit", folder=tmp_path / "run", dry_run=dry_run))
    assert not (tmp_path / "run").exists()


def _begun(folder: Path) -> Path:
    (folder / RECORD).write_text("{}")
    return folder
