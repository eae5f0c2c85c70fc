"""One large model against the stack of proxies, and packed sequences against one window a sequence."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, GPT2Config, PretrainedConfig, Qwen3Config

from pretraingym.lm.backend import Schedule
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.corpus.windows import Windows
from pretraingym.lm.io.errors import InputError
from pretraingym.lm.models.causal_lm import llama
from pretraingym.lm.models.engine_config import EngineConfig
from pretraingym.lm.models.optimizer_config import OptimizerConfig
from pretraingym.lm.models.training import TrainConfig
from pretraingym.lm.proxies.head_loss import IGNORED
from pretraingym.lm.proxies.stack import ProxyStack
from pretraingym.lm.target.checkpoints import Checkpoints
from pretraingym.lm.target.packing import lay_out, pack
from pretraingym.lm.target.target import Target

CONTEXT, STEPS = 512, 12  # most documents are shorter, so that there is something to pack
TRAIN = TrainConfig(Schedule(STEPS, warmup_steps=5), OptimizerConfig(0.02, 0.01))
TOLERANCE_NATS = 1e-4
ACTIVE = np.ones(1, bool)


@pytest.fixture(scope="module")
def windows(tiny_corpus: Corpus) -> Windows:
    return Windows(tiny_corpus, CONTEXT)


def configs(vocab_size: int) -> dict[str, PretrainedConfig]:
    tied = llama(vocab_size, 32, 1, CONTEXT)
    tied.tie_word_embeddings = True
    gpt2 = GPT2Config(
        vocab_size=vocab_size, n_embd=32, n_layer=2, n_head=2, n_positions=CONTEXT, bos_token_id=0, eos_token_id=0
    )  # with its dropout, which a target leaves out
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}
    shape = {"vocab_size": vocab_size, "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64} | heads
    qwen = Qwen3Config(**shape, bos_token_id=None, eos_token_id=None)
    return {"llama": llama(vocab_size, 32, 2, CONTEXT), "tied": tied, "gpt2": gpt2, "qwen": qwen}


def some_ids(windows: Windows, *shape: int) -> np.ndarray:
    ids = windows.ids(windows.corpus.splits["train"])
    return np.random.default_rng(0).choice(ids, shape)


def losses(backend: Target | ProxyStack, windows: Windows) -> np.ndarray:
    """Losses of training, of evaluation on the weights and on their average, and of influence, and influence itself."""
    backend.start(0, 7)
    trained = backend.train(some_ids(windows, 1, STEPS, 6), ACTIVE)
    probe, reference = some_ids(windows, 1, 9), some_ids(windows, 1, 2, 5)
    influence = backend.influence(reference, np.array([[0.25, 0.75]]), probe, 4)
    seen = [backend.evaluate(probe, averaged) for averaged in (False, True)]
    return np.concatenate([trained, *(x.ravel() for x in (*seen, *influence))])


@pytest.mark.parametrize("kind", ["llama", "tied", "gpt2", "qwen"])
def test_the_target_is_a_stack_of_one(windows: Windows, kind: str) -> None:
    config = configs(windows.corpus.vocab_size)[kind]
    plain = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0) if kind == "gpt2" else {}
    stacked = type(config).from_dict(config.to_dict() | plain)
    target = losses(Target(config, windows, TRAIN, EngineConfig(pass_sequences=4)), windows)
    np.testing.assert_allclose(target, losses(ProxyStack(stacked, windows, TRAIN, 1), windows), atol=TOLERANCE_NATS)


@pytest.mark.parametrize(
    "engine",
    [
        EngineConfig(packing="none"),
        EngineConfig(pass_sequences=1),
        EngineConfig(save_memory=True),
        EngineConfig(attention="eager"),
    ],
)
def test_the_engine_changes_no_result(windows: Windows, engine: EngineConfig) -> None:
    config = configs(windows.corpus.vocab_size)["llama"]
    one, other = (losses(Target(config, windows, TRAIN, how), windows) for how in (EngineConfig(), engine))
    np.testing.assert_allclose(one, other, atol=TOLERANCE_NATS)


def test_plain_packing_lets_documents_see_each_other(windows: Windows) -> None:
    config = configs(windows.corpus.vocab_size)["llama"]
    apart, plain = (Target(config, windows, TRAIN, EngineConfig(packing=how)) for how in ("documents", "plain"))
    ids = some_ids(windows, 1, STEPS, 12)
    assert abs(apart.train(ids, ACTIVE) - plain.train(ids, ACTIVE))[0] > 1e-4


def test_a_model_that_crosses_documents_is_refused(windows: Windows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.masking_utils.find_packed_sequence_indices", lambda position_ids: None)
    config = configs(windows.corpus.vocab_size)["llama"]
    with pytest.raises(InputError, match=r"does not keep packed documents apart: choose --engine.packing none"):
        Target(config, windows, TRAIN, EngineConfig(attention="eager"))
    Target(config, windows, TRAIN, EngineConfig(packing="plain", attention="eager"))


def test_state_goes_on_exactly(windows: Windows) -> None:
    config, ids = configs(windows.corpus.vocab_size)["llama"], some_ids(windows, 1, STEPS, 6)
    one, other = (Target(config, windows, TRAIN, EngineConfig()) for _ in range(2))
    one.start(0, 3, lr_scale=0.5)
    one.train(ids[:, :5], ACTIVE)
    other.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(one.train(ids[:, 5:], ACTIVE), other.train(ids[:, 5:], ACTIVE))
    for averaged in (False, True):
        seen = [backend.evaluate(ids[:, 0], averaged) for backend in (one, other)]
        np.testing.assert_array_equal(*seen)


def test_training_in_parts_is_the_same_training(windows: Windows) -> None:
    config, ids = configs(windows.corpus.vocab_size)["llama"], some_ids(windows, 1, 6, 6)
    at_once, parts = (Target(config, windows, TRAIN, EngineConfig()) for _ in range(2))
    loss = at_once.train(ids, ACTIVE)
    mean = np.mean([parts.train(ids[:, first : first + 2], ACTIVE) for first in (0, 2, 4)])
    assert loss[0] == pytest.approx(mean, abs=1e-6)
    np.testing.assert_array_equal(at_once.evaluate(ids[:, 0], False), parts.evaluate(ids[:, 0], False))


def test_bfloat16_trains_nearly_the_same(windows: Windows) -> None:
    config, ids = configs(windows.corpus.vocab_size)["llama"], some_ids(windows, 1, STEPS, 6)
    half, passes = replace(TRAIN, products=torch.bfloat16), EngineConfig(pass_sequences=1)
    ways = (TRAIN, EngineConfig()), (half, EngineConfig()), (half, passes)
    seen = [Target(config, windows, train, engine).train(ids, ACTIVE)[0] for train, engine in ways]
    single, half_precision, in_passes = seen
    assert single != half_precision
    assert single == pytest.approx(half_precision, abs=0.02)
    assert half_precision == pytest.approx(in_passes, abs=0.01)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=40), st.integers(20, 25))
def test_packing_loses_nothing(lengths: list[int], room: int) -> None:
    sequences = pack(np.array(lengths), room)
    assert sorted(window for sequence in sequences for window in sequence) == list(range(len(lengths)))
    used = [sum(lengths[window] for window in sequence) for sequence in sequences]
    assert max(used) <= room
    longer_than_half = len([x for x in lengths if x > room / 2])
    assert len(sequences) <= 11 / 9 * -(-sum(lengths) // room) + longer_than_half + 1
    tokens = np.full((len(lengths), room + 1), IGNORED)
    for window, length in enumerate(lengths):
        tokens[window, : length + 1] = 100 * window + np.arange(length + 1)
    batch = lay_out(tokens, sequences)
    counted = batch.targets != IGNORED
    assert counted.sum() == sum(lengths)
    np.testing.assert_array_equal(batch.targets[counted], batch.inputs[counted] + 1)
    np.testing.assert_array_equal(batch.positions[counted], batch.inputs[counted] % 100)
    begins = (np.diff(batch.positions, axis=1) != 1).sum(1) + 1  # what transformers takes for documents
    windows = [max(1, sum(lengths[window] > 0 for window in sequence)) for sequence in sequences]
    assert [sum(lengths) for lengths in batch.lengths] == [room] * len(sequences)
    assert (begins <= windows).all(), "padding looks like another document"


def test_schedules_warm_up_stay_and_fall() -> None:
    steps = np.arange(100)
    line, half, cosine = (
        Schedule(100, 10, share, decay).fraction(steps)
        for share, decay in ((1.0, "linear"), (0.5, "linear"), (1.0, "cosine"))
    )
    for schedule in (line, half, cosine):
        np.testing.assert_allclose(schedule[:4], [0.1, 0.2, 0.3, 0.4])
        assert 0 < schedule[99] < 0.03
    assert half[10:50].tolist() == [1.0] * 40
    assert half[75] == pytest.approx(0.5)
    assert line[50] == pytest.approx(0.5) == pytest.approx(cosine[50])
    np.testing.assert_allclose(cosine[10:], 0.5 + 0.5 * np.cos(np.pi * steps[10:] / 100), atol=1e-12)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_a_compiled_model_trains_the_same(windows: Windows) -> None:
    config = configs(windows.corpus.vocab_size)["llama"]
    plain, compiled = (Target(config, windows, TRAIN, EngineConfig(compile=how)) for how in (False, True))
    np.testing.assert_allclose(losses(compiled, windows), losses(plain, windows), atol=TOLERANCE_NATS)


def test_a_start_depends_only_on_its_seed(windows: Windows) -> None:
    config, ids = configs(windows.corpus.vocab_size)["llama"], some_ids(windows, 1, 3, 6)
    target = Target(config, windows, TRAIN, EngineConfig())
    seen = []
    for seed in (0, 0, 5, 0):
        target.start(0, seed)
        seen.append([target.evaluate(ids[:, 0], True).sum(), *target.train(ids, ACTIVE)])
    first, again, other_seed, last = seen
    assert first == again == last
    assert first != other_seed


def test_shares_without_rows_are_saved_and_loaded(windows: Windows, tmp_path: Path, all_ranks: Any) -> None:
    """FSDP2 on three ranks, with tensors of one row and of two."""
    config = configs(windows.corpus.vocab_size)["qwen"]
    config.head_dim, config.intermediate_size = 2, 1
    ids, train = some_ids(windows, 1, 4, 6), replace(TRAIN, optimizer=OptimizerConfig(0.02, 0.01, clip_norm=0.5))
    alone = Target(config, windows, train, EngineConfig())
    expected = alone.train(ids, ACTIVE), alone.evaluate(ids[:, 0], True)

    def work() -> None:
        one, other = (Target(config, windows, train, EngineConfig(parallel="fsdp")) for _ in range(2))
        one.train(ids[:, :2], ACTIVE)
        saved = Checkpoints(tmp_path / "c", one.ranks)
        saved.save(2, one.pieces(), {"clock": one.clock}, {"validation_loss_nats": None})
        one.train(ids[:, 2:], ACTIVE)
        saved.finish()
        one.ranks.wait()
        found = saved.shared(saved.newest() if one.ranks.first else None)
        assert found is not None
        other.load_pieces(found.read)
        other.clock = found.arrays["clock"]
        other.train(ids[:, 2:], ACTIVE)
        for target in (one, other):
            np.testing.assert_allclose(target.evaluate(ids[:, 0], True), expected[1], atol=TOLERANCE_NATS)
        other.save_pretrained(tmp_path / "model")

    all_ranks(3, work)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    tokens = torch.from_numpy(windows.fetch(ids[0, 0, :1]))
    with torch.no_grad():
        loss = model(input_ids=tokens.clamp(min=0), labels=tokens).loss.item()
    assert loss == pytest.approx(alone.evaluate(ids[:, 0], False)[0, 0], abs=TOLERANCE_NATS)
