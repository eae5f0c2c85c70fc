"""The surrogate against its own formulas, worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chisquare

from pretraingym.lm.backend import Schedule
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.corpus.windows import Windows
from pretraingym.lm.keyed_random import hash64, normals, stream, uniforms
from pretraingym.lm.surrogate import Dynamics, Surrogate

CONTEXT, TOTAL = 16, 40
TRANSFER_CT, LATE_CT = np.array([[2.0, 0.1], [0.2, 1.5]]), np.array([[0.5, 0.1], [0.2, 3.0]])
QUIET = Dynamics(TRANSFER_CT, LATE_CT, unit_tokens=10_000.0, loss_sd=0.0, window_sd=0.0, influence_noise=0.0)
FIRST_SEED = 100  # of slot 0; the next slots have the next seeds


def make(corpus: Corpus, num_slots: int = 1, dynamics: Dynamics = QUIET) -> Surrogate:
    """Even documents are of kind 0, odd ones of kind 1; the second task's documents are those of the "code" splits."""
    kind = np.arange(corpus.num_documents) % 2
    task = np.zeros(corpus.num_documents, np.intp)
    task[np.array(corpus.splits["code/validation"])] = 1
    backend = Surrogate(dynamics, Windows(corpus, CONTEXT), kind, task, Schedule(TOTAL, 0), num_slots)
    for slot in range(num_slots):
        backend.start(slot, FIRST_SEED + slot)
    return backend


def ids_of_kind(corpus: Corpus, kind: int, count: int) -> np.ndarray:
    windows = Windows(corpus, CONTEXT)
    ids = windows.ids(corpus.splits["train"])
    full = ids[(windows.document(ids) % 2 == kind) & (windows.lengths(ids) == CONTEXT)]
    return full[:count]


def losses_by_task(corpus: Corpus, backend: Surrogate) -> np.ndarray:
    windows = Windows(corpus, CONTEXT)
    ids = [windows.ids(corpus.splits[f"{task}/validation"])[0] for task in ("prose", "code")]
    return backend.evaluate(np.tile(ids, (backend.num_slots, 1)), False)


def test_loss_falls_by_the_power_law(tiny_corpus: Corpus) -> None:
    backend = make(tiny_corpus)
    backend.train(ids_of_kind(tiny_corpus, 0, 20 * 8).reshape(1, 20, 8), np.ones(1, bool))
    transfer = 0.75 * QUIET.transfer_CT[0] + 0.25 * QUIET.late_CT[0]  # half of the training, a quarter in the middle
    effective = 20 * 8 * CONTEXT * transfer
    np.testing.assert_allclose(backend.effective_NT[0], effective)
    expected = 2.5 + 1.28 * (0.05 + effective / 10_000) ** -0.355
    np.testing.assert_allclose(losses_by_task(tiny_corpus, backend)[0], expected)


def test_repeats_decay(tiny_corpus: Corpus) -> None:
    """Whether inside one call or over several; other windows are as fresh as before."""
    one, two = ids_of_kind(tiny_corpus, 0, 2)
    for calls in ([[one, one, one, two]], [[one], [one], [one, two]], [[two, one], [one, one]]):
        backend = make(tiny_corpus, dynamics=replace(QUIET, late_CT=QUIET.transfer_CT))
        for call in calls:
            backend.train(np.array(call).reshape(1, 1, -1), np.ones(1, bool))
        worth = 2 + np.exp(-1 / 15) + np.exp(-2 / 15)
        np.testing.assert_allclose(backend.effective_NT[0], worth * CONTEXT * QUIET.transfer_CT[0])


def test_influence_is_the_fall_of_a_small_step(tiny_corpus: Corpus) -> None:
    backend = make(tiny_corpus, 2, replace(QUIET, unit_tokens=1e6, late_CT=QUIET.transfer_CT))
    old = ids_of_kind(tiny_corpus, 1, 4)
    backend.train(np.tile(old, (2, 1, 1)), np.ones(2, bool))
    code = Windows(tiny_corpus, CONTEXT).ids(tiny_corpus.splits["code/validation"])[:5]
    other_kind, fresh, repeated = ids_of_kind(tiny_corpus, 0, 1)[0], ids_of_kind(tiny_corpus, 1, 9)[8], old[0]
    probe = np.array([other_kind, fresh, repeated])
    influence, _, by_group = backend.influence(np.tile(code, (2, 1, 1)), np.ones((2, 1)), np.tile(probe, (2, 1)), 2)
    np.testing.assert_allclose(by_group[:, 0], influence[:, ::2], err_msg="of one group both are the same")
    state, before = backend.state_dict(), losses_by_task(tiny_corpus, backend)[:, 1]
    for index, window in enumerate(probe):
        backend.train(np.full((2, 1, 1), window), np.ones(2, bool))
        fall = before - losses_by_task(tiny_corpus, backend)[:, 1]
        np.testing.assert_allclose(influence[:, index] * CONTEXT, fall, rtol=1e-2)
        backend.load_state_dict(state)
    of_other_kind, of_fresh, of_repeated = influence[0]
    assert of_fresh > of_repeated > of_other_kind > 0


def test_noise_depends_on_the_runs_seed_and_what_it_drew(tiny_corpus: Corpus) -> None:
    backend = make(tiny_corpus, 300, replace(QUIET, loss_sd=0.02))
    for slot in range(300):
        backend.start(slot, slot // 2)
    ids = np.tile(ids_of_kind(tiny_corpus, 0, 4), (300, 1, 1))
    backend.train(ids, np.ones(300, bool))
    same = losses_by_task(tiny_corpus, backend)
    np.testing.assert_array_equal(same[0::2], same[1::2], err_msg="two runs of one seed that drew the same text")
    assert same.std(0) == pytest.approx(0.02, rel=0.2)
    assert abs(np.corrcoef(same[0::2].T)[0, 1]) < 0.25  # of the two tasks
    ids[1::2] = ids_of_kind(tiny_corpus, 0, 8)[4:]
    backend.train(ids, np.ones(300, bool))
    apart = losses_by_task(tiny_corpus, backend)
    assert abs(np.corrcoef(apart[0::2, 0], apart[1::2, 0])[0, 1]) < 0.25


def test_slots_are_independent_and_inactive_ones_stay_as_they_were(tiny_corpus: Corpus) -> None:
    noisy = replace(QUIET, loss_sd=0.02, window_sd=0.5, influence_noise=2.0)
    three, one = make(tiny_corpus, 3, noisy), make(tiny_corpus, 1, noisy)
    one.start(0, FIRST_SEED + 2)
    ids = np.random.default_rng(0).choice(ids_of_kind(tiny_corpus, 0, 50), (3, 6, 4))
    together, alone = three.train(ids, np.array([True, False, True])), one.train(ids[2:], np.ones(1, bool))
    assert np.isnan(together[1])
    assert together[2] == alone[0]
    assert three.steps_N.tolist() == [6, 0, 6]
    assert not three.draws_NW[1].any()
    assert not three.effective_NT[1].any()
    np.testing.assert_array_equal(losses_by_task(tiny_corpus, three)[2], losses_by_task(tiny_corpus, one)[0])
    for name, seen, expected in zip(
        ("influence", "loss", "influence by group"),
        three.influence(ids[:, :1], np.ones((3, 1)), ids[:, 1], 2),
        one.influence(ids[2:, :1], np.ones((1, 1)), ids[2:, 1], 2),
        strict=True,
    ):
        np.testing.assert_array_equal(seen[2], expected[0], err_msg=name)


def test_state_goes_on_exactly(tiny_corpus: Corpus) -> None:
    noisy = replace(QUIET, loss_sd=0.02)
    straight, resumed = make(tiny_corpus, 2, noisy), make(tiny_corpus, 2, noisy)
    ids = np.random.default_rng(0).choice(ids_of_kind(tiny_corpus, 0, 20), (2, 6, 4))
    straight.train(ids, np.ones(2, bool))
    resumed.load_state_dict(straight.state_dict())
    np.testing.assert_array_equal(straight.train(ids, np.ones(2, bool)), resumed.train(ids, np.ones(2, bool)))
    np.testing.assert_array_equal(losses_by_task(tiny_corpus, straight), losses_by_task(tiny_corpus, resumed))


def test_normals_are_normal() -> None:
    drawn = normals(np.arange(100_000, dtype=np.uint64))
    assert drawn.mean() == pytest.approx(0, abs=0.02)
    assert drawn.std() == pytest.approx(1, abs=0.02)
    assert (abs(drawn) > 2).mean() == pytest.approx(0.0455, abs=0.004)


def test_streams_are_uniform_and_of_their_key_alone() -> None:
    keys = hash64(np.arange(500, dtype=np.uint64))
    drawn = uniforms(stream(keys, 200))
    np.testing.assert_array_equal(uniforms(stream(keys[7:8], 200))[0], drawn[7])
    np.testing.assert_array_equal(uniforms(stream(keys, 3)), drawn[:, :3])
    assert (drawn >= 0).all()
    assert (drawn < 1).all()
    assert chisquare(np.bincount((drawn.ravel() * 50).astype(int), minlength=50)).pvalue > 0.01
    assert abs(np.corrcoef(drawn[:, :20].T) - np.eye(20)).max() < 0.2  # one number of a stream with another
    assert abs(np.corrcoef(drawn[:20]) - np.eye(20)).max() < 0.3  # one stream with another


def test_what_was_drawn_is_memorised(tiny_corpus: Corpus) -> None:
    """The loss of a window falls with every draw of it, by less each time, below that of its kind; in training too."""
    known = replace(QUIET, transfer_CT=np.ones((2, 2)), late_CT=np.ones((2, 2)), memorised=0.1)
    backend = make(tiny_corpus, dynamics=known)
    often, once, never = ids_of_kind(tiny_corpus, 0, 3)
    backend.train(np.array([often, often, once]).reshape(1, 1, 3), np.ones(1, bool))
    read = np.array([[often, once, never]])
    _, loss_NP, _ = backend.influence(read[:, None], np.ones((1, 1)), read, 1)
    losses, unread = loss_NP[0], loss_NP[0, 2]
    twice = 0.1 * (1 + np.exp(-1 / 15))
    np.testing.assert_allclose(unread - losses, [twice, 0.1, 0.0], atol=1e-12)
    np.testing.assert_allclose(backend.evaluate(read, False)[0] - unread, [-twice, -0.1, 0.0], atol=1e-12)
    again = backend.state_dict()
    seen = backend.train(np.full((1, 1, 1), often), np.ones(1, bool))
    backend.load_state_dict(again)
    np.testing.assert_allclose(backend.train(np.full((1, 1, 1), never), np.ones(1, bool)) - seen, twice, atol=5e-3)
