"""An episode goes on on a corpus that was built anew, or says in one line why not and stays as it was."""

from pathlib import Path

import numpy as np
import pytest

from pretraingym.env.console.limits import EPOCHS, SHARE, Limit
from pretraingym.env.episode import Episode
from pretraingym.env.resumption import resume, state_of
from pretraingym.env.scenarios.pool import whole_corpus_scenario
from pretraingym.env.scenarios.scenario import Scenario
from pretraingym.env.scenarios.task import Task
from pretraingym.env.settings.setting import Setting
from pretraingym.lm.corpus.corpus import Corpus, Labels
from pretraingym.lm.corpus.tokenizer import train_tokenizer
from pretraingym.lm.corpus.writer import CorpusWriter
from pretraingym.lm.ingest.synthetic import DOMAINS, TASKS, synthetic_documents
from pretraingym.lm.io.errors import InputError
from pretraingym.lm.io.state import State

PROSE, CODE = DOMAINS.index("prose"), DOMAINS.index("code")
SWAPPED = {PROSE: CODE, CODE: PROSE}
LITTLE_PROSE = Limit(EPOCHS, "domain", "prose", 0.01)
MUCH_CODE = Limit(SHARE, "domain", "code", 0.5)


def built(path: Path, setting: Setting, renamed: dict[int, int], documents_per_domain: int = 20) -> Task:
    """A task on a corpus in which some domains have the labels of others."""
    splits = synthetic_documents(0, documents_per_domain=20)
    splits["train"] = (
        splits["train"] + synthetic_documents(5, documents_per_domain)["train"][: documents_per_domain - 20]
    )
    domain = [renamed.get(one.domain, one.domain) for split in splits.values() for one in split]
    with CorpusWriter(path, TASKS) as writer:
        for name, split in splits.items():
            writer.add_split(name, (document.text for document in split))
        writer.encode(train_tokenizer([], 257))
        writer.add_labels("domain", Labels(DOMAINS, None, np.array(domain, np.uint16)))
    return Task(Corpus.open(path), setting.context)


def an_episode(task: Task, setting: Setting, *limits: Limit) -> Episode:
    return Episode(task, setting.backend(task, 1), setting.episode, limits)


def begun(episode: Episode, intervals: int) -> State:
    """The state of a run on the whole corpus in that interval, drawn and not trained."""
    scenario = whole_corpus_scenario(episode.task, episode.config.budget_tokens(episode.task.context), {})
    episode.run_interval(None, episode.enter([0], [scenario], [3]))
    for _ in range(intervals - 1):
        episode.run_interval(natural(episode))
    episode.draw(natural(episode), np.ones(1, bool))
    return state_of(episode)


def natural(episode: Episode) -> np.ndarray:
    """Weights of null alone, (1, K)."""
    return np.eye(episode.mask_NK.shape[1])[:1]


def finish(episode: Episode) -> None:
    """From an interval in hand on, with another model."""
    episode.backend.start(0, 3, 1.0)
    episode.measure(episode.train())
    while not episode.done_N[0]:
        episode.run_interval(natural(episode))
    assert episode.tokens_N[0] == episode.config.budget_tokens(episode.task.context)


def code_and_all(episode: Episode) -> tuple[int, int]:
    """Tokens drawn."""
    drawn_C = episode.drawn_NC[0]
    return int(drawn_C[episode.task.cells.labels_CA[:, 0] == CODE].sum()), int(drawn_C.sum())


@pytest.mark.parametrize("intervals", [2, 3])
@pytest.mark.parametrize("limit", [LITTLE_PROSE, MUCH_CODE])
def test_limits_that_the_rest_of_a_run_cannot_keep_are_refused(
    tmp_path: Path, tiny_setting: Setting, intervals: int, limit: Limit
) -> None:
    """In the second interval of three one more is to come; in the third all of the run has been drawn."""
    state = begun(an_episode(built(tmp_path / "before", tiny_setting, {}), tiny_setting, limit), intervals)
    relabelled = an_episode(built(tmp_path / "relabelled", tiny_setting, SWAPPED), tiny_setting, limit)
    before = relabelled.state_dict()
    with pytest.raises(InputError, match=rf"^the {32 * (3 - intervals)} windows .* cannot keep --{limit} [^\n]*$"):
        resume(relabelled, state)
    after = relabelled.state_dict()
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name], equal_nan=True) for name in before)


def test_labels_may_change_where_the_limits_can_still_be_kept(tmp_path: Path, tiny_setting: Setting) -> None:
    state = begun(an_episode(built(tmp_path / "before", tiny_setting, {}), tiny_setting, MUCH_CODE), 1)
    episode = an_episode(built(tmp_path / "relabelled", tiny_setting, SWAPPED), tiny_setting, MUCH_CODE)
    assert resume(episode, state) is not None
    assert code_and_all(episode)[0] < 0.5 * code_and_all(episode)[1]
    finish(episode)
    assert code_and_all(episode)[0] >= 0.5 * code_and_all(episode)[1]


@pytest.mark.parametrize("intervals", [1, 2, 3])
def test_limits_are_kept_with_more_documents(tmp_path: Path, tiny_setting: Setting, intervals: int) -> None:
    limits = LITTLE_PROSE, MUCH_CODE
    state = begun(an_episode(built(tmp_path / "before", tiny_setting, {}), tiny_setting, *limits), intervals)
    grown = an_episode(built(tmp_path / "grown", tiny_setting, {}, 60), tiny_setting, *limits)
    change = resume(grown, state)
    assert change is not None
    assert (change.added, change.removed) == (40, 0)
    finish(grown)
    code, every = code_and_all(grown)
    assert code >= 0.5 * every
    domain_C, drawn_C = grown.task.cells.labels_CA[:, 0], grown.drawn_NC[0]
    assert drawn_C[domain_C == PROSE].sum() <= 0.01 * grown.task.cells.tokens_C[domain_C == PROSE].sum()


def test_a_run_on_a_part_of_a_corpus_does_not_change_it(tmp_path: Path, tiny_setting: Setting) -> None:
    """Its state does not say which text it has used."""
    episode = an_episode(built(tmp_path / "before", tiny_setting, {}), tiny_setting)
    episode.run_interval(None, episode.enter([0], [Scenario((("prose", 1.0),), 2.0)], [3]))
    state = state_of(episode)
    assert not any(name.startswith("text/") for name in state)
    grown = an_episode(built(tmp_path / "grown", tiny_setting, {}, 60), tiny_setting)
    with pytest.raises(InputError, match=r"grown is not the corpus that this run began with[^\n]* give the corpus"):
        resume(grown, state)
    again = an_episode(episode.task, tiny_setting)
    assert resume(again, state) is None
    np.testing.assert_array_equal(again.drawn_NC, episode.drawn_NC)
