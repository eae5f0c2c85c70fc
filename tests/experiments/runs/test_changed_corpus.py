"""A pretraining run goes on after its corpus was built anew, in its place or in another folder."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pretraingym.env.episode_config import EpisodeConfig
from pretraingym.env.scenarios.used_text import UsedText
from pretraingym.env.settings.setting import Setting
from pretraingym.experiments.commands.pretrain import PretrainConfig, main
from pretraingym.experiments.runs.pretraining import Pretraining
from pretraingym.lm.corpus.corpus import Corpus, Labels, reference_split
from pretraingym.lm.corpus.tokenizer import train_tokenizer
from pretraingym.lm.corpus.writer import CorpusWriter
from pretraingym.lm.ingest.synthetic import DOMAINS, QUALITY, TASKS, SyntheticDocument, synthetic_documents
from pretraingym.lm.io.errors import InputError
from pretraingym.lm.io.state import under
from pretraingym.lm.target.checkpoints import MANIFEST, Checkpoints, _own_hash
from pretraingym.lm.target.ranks import Ranks

Stopped = Callable[[PretrainConfig, int], None]
CLOCK = EpisodeConfig(
    num_intervals=4, steps_per_interval=12, batch_windows=8, warmup_steps=4, probe_windows=16, reference_windows=8,
    validation_windows=16, final_windows=32,
)  # fmt: skip
SPLITS = synthetic_documents(0, documents_per_domain=20)
NEW = synthetic_documents(5, documents_per_domain=12)["train"]


def built(path: Path, train: list[SyntheticDocument], domains: tuple[str, ...] = DOMAINS) -> Path:
    """A corpus of these training documents, whose agents all learn; new ones are of the last of `domains`."""
    splits = {"train": train} | {name: documents for name, documents in SPLITS.items() if name != "train"}
    documents = [document for split in splits.values() for document in split]
    names = tuple(sorted(domains))
    domain = [names.index(domains[-1] if one in NEW else DOMAINS[one.domain]) for one in documents]
    with CorpusWriter(path, TASKS) as writer:
        for name, split in splits.items():
            writer.add_split(name, (document.text for document in split))
        writer.encode(train_tokenizer([], 257))
        writer.add_labels("domain", Labels(names, tuple(map(float, range(len(names)))), np.array(domain, np.uint16)))
        quality = np.array([document.quality for document in documents], np.uint16)
        writer.add_labels("quality", Labels(tuple(map(str, QUALITY)), QUALITY, quality))
    assert reference_split(TASKS[0], "validation") in splits
    return path


@pytest.fixture
def config(tmp_path: Path) -> PretrainConfig:
    agents = ("null", "domain", "quality", "novelty", "influence")
    setting = Setting(width=16, num_layers=1, context=64, episode=CLOCK, agents=agents)
    corpus = built(tmp_path / "corpus", SPLITS["train"])
    return PretrainConfig(
        "agreement", folder=tmp_path / "run", corpus=corpus, target=setting, save_every_s=1e-6, no_trial=True
    )


class Stop(Exception):
    pass


def used(config: PretrainConfig) -> Counter[int]:
    """How often each document's windows had been used at the newest checkpoint."""
    found = Checkpoints(config.folder / "checkpoints", Ranks("cpu")).newest()
    assert found is not None
    text = UsedText.of_state(under("text", found.arrays))
    times_D = np.add.reduceat(text.times_W.astype(np.int64), np.cumsum(text.windows_D) - text.windows_D)
    return Counter(dict(zip(text.key_D.tolist(), times_D.tolist(), strict=True)))


def rows(config: PretrainConfig) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (config.folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("saves", [3, 4], ids=["at-a-decision", "within-an-interval"])
@pytest.mark.parametrize("in_place", [True, False])
def test_a_run_goes_on_with_more_documents_and_a_new_domain(
    config: PretrainConfig, tmp_path: Path, saves: int, in_place: bool, stopped: Stopped
) -> None:
    stopped(config, saves)
    before, old_rows = used(config), rows(config)
    domains = (*DOMAINS, "added")  # the first of all names, so that the others' numbers change
    grown = built(tmp_path / "grown", NEW + SPLITS["train"][::-1], domains)
    again = replace(config, resume=True, corpus=grown)
    if in_place:
        assert config.corpus is not None
        shutil.rmtree(config.corpus)
        again = replace(config, resume=True, corpus=grown.rename(config.corpus))
    with pytest.warns(UserWarning, match="60 documents are new, 100 stay as used as they were"):
        result = main(again)
    assert np.isfinite(list(result["test_loss_nats"].values())).all()
    assert [row["interval"] for row in rows(config)] == [1, 2, 3, 4]
    assert rows(config)[: len(old_rows)] == old_rows
    after = used(config)
    assert all(after[key] >= times for key, times in before.items())
    assert after.total() == CLOCK.batch_windows * CLOCK.total_steps  # at the last decision all are drawn
    assert sum(after[key] for key in after.keys() - before.keys()) > 0
    assert (
        json.loads((config.folder / "corpus.json").read_text())["fingerprint"]
        == Corpus.open(again.corpus or Path()).fingerprint
    )


def test_a_run_goes_on_without_removed_documents_only_if_told(
    config: PretrainConfig, tmp_path: Path, stopped: Stopped
) -> None:
    stopped(config, 4)
    before = (config.folder / "corpus.json").read_text()
    fewer = built(tmp_path / "fewer", SPLITS["train"][30:])
    again = replace(config, resume=True, corpus=fewer)
    with pytest.raises(InputError, match=r"lacks 30 of the 100 training documents .*--drop-removed"):
        main(again)
    assert (config.folder / "corpus.json").read_text() == before
    with pytest.warns(UserWarning, match="0 documents are new, 30 documents are gone, 70 stay"):
        main(replace(again, drop_removed=True))
    assert [row["interval"] for row in rows(config)] == [1, 2, 3, 4]


@pytest.mark.parametrize("schema", [2, 3])
def test_a_run_of_an_earlier_version_is_refused_and_left_as_it_is(
    config: PretrainConfig, tmp_path: Path, stopped: Stopped, schema: int
) -> None:
    """Its corpus had to be built anew, and has other tokens now."""
    stopped(config, 3)
    before = {path: path.read_bytes() for path in config.folder.glob("*.json*")}
    for path in (config.folder / "checkpoints").glob(f"step-*/{MANIFEST}"):
        manifest = json.loads(path.read_text()) | {"schema": schema}
        del manifest["sha256"]
        path.write_text(json.dumps(manifest | {"sha256": _own_hash(manifest)}))
    anew = built(tmp_path / "anew", SPLITS["train"] + NEW)
    with pytest.raises(InputError, match=rf"was written by an earlier version \(its format is {schema}[^\n]*$"):
        main(replace(config, resume=True, corpus=anew))
    assert {path: path.read_bytes() for path in config.folder.glob("*.json*")} == before


def test_limits_that_a_changed_corpus_breaks_are_refused(
    config: PretrainConfig, tmp_path: Path, stopped: Stopped
) -> None:
    config = replace(config, epochs=(f"domain={DOMAINS[0]}:0.02",))
    stopped(config, 4)
    before = (config.folder / "corpus.json").read_text()
    renamed = [replace(one, domain=(one.domain + 1) % len(DOMAINS)) for one in SPLITS["train"]]
    with pytest.raises(
        InputError, match=rf"cannot keep --epochs domain={DOMAINS[0]}:0.02 on this corpus: give its doc"
    ):
        main(replace(config, resume=True, corpus=built(tmp_path / "renamed", renamed)))
    assert (config.folder / "corpus.json").read_text() == before


def test_the_same_documents_in_another_order_are_no_others(
    config: PretrainConfig, tmp_path: Path, stopped: Stopped
) -> None:
    """What agents have learned of a category goes with its name, and the run's numbers go on from there."""
    stopped(config, 5)
    found = Checkpoints(config.folder / "checkpoints", Ranks("cpu")).newest()
    assert found is not None
    memory = under("episode/agents/domain", found.arrays)["memory"][0]
    seen = {}
    restore = Pretraining._restore

    def noted(self: Pretraining, checkpoint: Any) -> None:
        restore(self, checkpoint)
        agent = self.episode.agents.members[1]
        names = self.task.layout.columns["domain"].names
        seen.update(zip(names, agent.state_dict()["memory"][0].tolist(), strict=True))
        influence = self.episode.agents.members[4].state_dict()
        seen["gram"] = influence["gram"][0]
        assert self.episode.drawn_NC.sum() == self.episode.tokens_N.sum()
        raise Stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pretraining, "_restore", noted)
        grown = built(tmp_path / "grown", SPLITS["train"] + NEW, (*DOMAINS, "added"))
        with pytest.warns(UserWarning, match="60 documents are new"), pytest.raises(Stop):
            main(replace(config, resume=True, corpus=grown))
    gram = seen.pop("gram")
    assert seen == {"added": 0.0} | dict(zip(sorted(DOMAINS), memory.tolist(), strict=True))
    old = under("episode/agents/influence", found.arrays)["gram"][0]
    np.testing.assert_array_equal(np.delete(np.delete(gram, 0, 0), 0, 1), old)  # "added" is the first
    assert not gram[0].any()
