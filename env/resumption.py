"""Resumption: an episode of one run goes on from a saved state, also after its corpus was built anew."""

import numpy as np

from ..lm.io.errors import InputError
from ..lm.io.state import State, json_as_array, json_in_array, nested, under
from ..lm.keyed_random import hash64
from .cells.sampler import in_random_order, sums_by_cell
from .console.limited_cells import Progress
from .episode import WARMUP, Episode, InHand
from .random_streams import DRAW, stream_keys
from .scenarios.corpus_change import CorpusChange
from .scenarios.used_text import UsedText


def state_of(episode: Episode) -> State:
    """What `resume` goes on from: the episode's state, which corpus it is on and, where the run's pool is all of it,
    which text the run has used."""
    task, sampler = episode.task, episode.sampler
    state = nested("episode", episode.state_dict()) | {"corpus": json_as_array(task.corpus.fingerprint)}
    if (sampler.pool_NC[0] != task.cells.windows_C).any():
        return state
    return state | nested("text", UsedText.of(task, sampler.times(0, sampler.used_NC[0])).state_dict())


def resume(episode: Episode, state: State, drop_removed: bool = False, steps_done: int = 0) -> CorpusChange | None:
    """Go on where `state_of` was taken -> how the corpus has changed since then; None: it has not.

    On a changed corpus the interval in hand ends with the windows that were drawn for it; of those that are gone,
    windows of the natural mixture take the place. The shares that a policy observes are those that the weights in force
    would give now. drop_removed: go on without documents that are gone; steps_done: of the interval in hand, where its
    trainer counts them, and not the episode.

    InputError, before anything is changed: as CorpusChange; the run's pool was a part of another corpus; or it has hard
    limits, and documents are gone, which the limits count, or the rest of the run cannot keep them."""
    of_episode, text, corpus = under("episode", state), under("text", state), episode.task.corpus
    if json_in_array(state["corpus"]) == corpus.fingerprint:
        episode.load_state_dict(of_episode)
        return None
    if not text:
        raise InputError(
            f"{corpus.path} is not the corpus that this run began with, and a run on a part of a corpus cannot change "
            "it: give the corpus as it was, or start anew in another folder"
        )
    change = CorpusChange(UsedText.of_state(text), episode.task, drop_removed)
    quotas = episode.quotas
    if quotas.limits and change.removed:
        raise InputError("documents are gone and the run has hard limits, which count them: keep the documents")
    quotas.check_rest(Progress(change.used_C, change.drawn_C, quotas.total_windows - int(change.used_C.sum())))
    _carry_over(episode, of_episode, change)
    if episode.in_hand is not None:
        _replace_gone(episode, episode.in_hand, change, max(steps_done, episode.in_hand.steps_done))
    if episode.interval_N[0] != WARMUP:
        episode.set_shares(episode.weights_NK, np.ones(1, bool))
    return change


def _carry_over(episode: Episode, state: State, change: CorpusChange) -> None:
    """Load a state of before the change."""
    sampler = episode.sampler
    sampler.carry_on(0, int(under("sampler", state)["seed_N"][0]), change.times_W)
    labels = change.relabelling(sampler.epochs_NC)
    agents = nested("agents", episode.agents.carried_over(under("agents", state), labels))
    of_cells = {"drawn_NC": change.drawn_C[None], "shares_NC": sampler.natural_NC.copy()}
    episode.load_state_dict(state | agents | of_cells | nested("sampler", sampler.state_dict()))


def _replace_gone(episode: Episode, hand: InHand, change: CorpusChange, steps_done: int) -> None:
    """Give the windows in hand the ids that they have now; for those to come that are gone, draw others."""
    task, sampler = episode.task, episode.sampler
    ids = hand.windows = change.ids(hand.windows)
    coming = ids[:, steps_done:]
    if gone := int((coming < 0).sum()):
        key_N = hash64(stream_keys(episode.seed_N, DRAW, episode.interval_N + 1))
        count_NC = sampler.counts(sampler.natural_NC, gone, key_N)
        drawn = sampler.take(np.zeros(1, np.intp), count_NC)
        episode.drawn_NC += sums_by_cell(task.windows.lengths(drawn), count_NC)
        coming[coming < 0] = in_random_order(drawn, key_N)[0]
    ids[ids < 0] = task.cells.window_ids(np.zeros(1, np.int64))  # any: they were trained on, and are gone
