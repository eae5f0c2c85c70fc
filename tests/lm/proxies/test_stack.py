"""The stack of proxies against the same models trained alone with plain transformers and torch optimisers."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from transformers import AutoModelForCausalLM, Gemma2Config, GPT2Config, PretrainedConfig, Qwen3Config

from pretraingym.experiments.benchmarks.proxies_naive import Job, PlainModel
from pretraingym.lm.backend import Backend, Schedule
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.corpus.windows import Windows
from pretraingym.lm.io.errors import InputError
from pretraingym.lm.models.causal_lm import llama
from pretraingym.lm.models.optimizer import norm_N
from pretraingym.lm.models.optimizer_config import OptimizerConfig
from pretraingym.lm.models.training import TrainConfig
from pretraingym.lm.proxies.stack import ProxyStack

CONTEXT, STEPS = 16, 50
FIRST_SEED = 100  # of slot 0; the next slots have the next seeds
TOLERANCE_NATS = 2e-4  # after 50 steps; rounding grows with every step
SCHEDULE = Schedule(STEPS, warmup_steps=5)
RATES = OptimizerConfig(0.02, 0.01)
NO_SPECIAL = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}


@pytest.fixture(autouse=True)
def two_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack has two shards, as on two cores, however many cores the tests may use."""
    monkeypatch.setattr("pretraingym.lm.proxies.stack.usable_cores", lambda: 2)


def configs(vocab_size: int) -> dict[str, PretrainedConfig]:
    plain = llama(vocab_size, 32, 2, CONTEXT)
    tied = llama(vocab_size, 32, 1, CONTEXT)
    tied.tie_word_embeddings = True
    no_dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    shape = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": CONTEXT}
    gpt2 = GPT2Config(vocab_size=vocab_size, **shape, **no_dropout, **NO_SPECIAL)
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}
    sizes = {"vocab_size": vocab_size, "hidden_size": 32, "intermediate_size": 64} | heads
    qwen = Qwen3Config(**sizes, num_hidden_layers=2, **NO_SPECIAL)
    capped = Gemma2Config(
        **sizes, num_hidden_layers=1, final_logit_softcapping=5.0, attn_implementation="eager", **NO_SPECIAL
    )
    return {"llama": plain, "tied": tied, "gpt2": gpt2, "qwen": qwen, "capped": capped}


def stack(config: PretrainedConfig, windows: Windows, count: int) -> ProxyStack:
    backend = ProxyStack(config, windows, TrainConfig(SCHEDULE, RATES), count)
    for slot in range(count):
        backend.start(slot, FIRST_SEED + slot)
    return backend


def orthogonal(matrix: torch.Tensor, coefficients: tuple[float, ...], steps: int, eps: float) -> torch.Tensor:
    """Torch's own Newton-Schulz iteration, but in float32: in its bfloat16 nothing agrees within more than 5e-3."""
    a, b, c = coefficients
    x = matrix.T if matrix.size(0) > matrix.size(1) else matrix
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if matrix.size(0) > matrix.size(1) else x


def train_alone(
    config: PretrainedConfig,
    corpus: Corpus,
    ids: np.ndarray,
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
    rates: OptimizerConfig = RATES,
) -> np.ndarray:
    """Losses of one plain transformers model under torch.optim.Muon and AdamW. ids: (steps, windows), a step a row."""
    monkeypatch.setattr("torch.optim._muon._zeropower_via_newtonschulz", orthogonal)
    torch.set_num_threads(1)  # two for such small matrices wait for each other
    job = Job(config, corpus.path, CONTEXT, rates, SCHEDULE)
    return PlainModel(job, "torch", seed).train(ids)


def some_ids(windows: Windows, corpus: Corpus, count: int) -> np.ndarray:
    return np.random.default_rng(0).choice(windows.ids(corpus.splits["train"]), (count, STEPS, 8))


@pytest.mark.parametrize("name", ["llama", "tied", "gpt2", "qwen", "capped"])
def test_stacked_equals_alone(tiny_corpus: Corpus, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    windows = Windows(tiny_corpus, CONTEXT)
    config = configs(tiny_corpus.vocab_size)[name]
    ids = some_ids(windows, tiny_corpus, 3)
    backend = stack(config, windows, 3)
    active = np.ones(3, bool)
    stacked = np.stack([backend.train(ids[:, step : step + 1], active) for step in range(STEPS)], 1)
    alone = train_alone(config, tiny_corpus, ids[2], FIRST_SEED + 2, monkeypatch)
    np.testing.assert_allclose(stacked[2], alone, atol=TOLERANCE_NATS)
    # AdamW's first step has the size of the rate however small the gradient, so that rounding can turn its sign.
    np.testing.assert_allclose(stacked[2, :2], alone[:2], atol=3e-5)


def test_result_depends_neither_on_count_nor_on_slot(tiny_corpus: Corpus) -> None:
    windows = Windows(tiny_corpus, CONTEXT)
    config = configs(tiny_corpus.vocab_size)["llama"]
    ids = some_ids(windows, tiny_corpus, 7)
    many = stack(config, windows, 7)
    one = stack(config, windows, 1)
    one.start(0, FIRST_SEED + 5)
    together = many.train(ids, np.ones(7, bool))
    single = one.train(ids[5:6], np.ones(1, bool))
    np.testing.assert_allclose(together[5], single[0], atol=1e-6)


def test_divergence_stays_in_its_slot(tiny_corpus: Corpus, break_model: Callable[[Backend, int], None]) -> None:
    windows = Windows(tiny_corpus, CONTEXT)
    config = configs(tiny_corpus.vocab_size)["llama"]
    ids = some_ids(windows, tiny_corpus, 3)
    healthy, sick = stack(config, windows, 3), stack(config, windows, 3)
    break_model(sick, 1)
    expected, seen = healthy.train(ids, np.ones(3, bool)), sick.train(ids, np.ones(3, bool))
    assert np.isnan(seen[1])
    np.testing.assert_array_equal(seen[[0, 2]], expected[[0, 2]], err_msg="losses of the slots beside it")


def test_inactive_slots_come_out_as_they_went_in(tiny_corpus: Corpus) -> None:
    windows = Windows(tiny_corpus, CONTEXT)
    backend = stack(configs(tiny_corpus.vocab_size)["llama"], windows, 3)
    ids = some_ids(windows, tiny_corpus, 3)
    before = backend.state_dict()
    losses = backend.train(ids, np.array([False, True, False]))
    after = backend.state_dict()
    assert np.isnan(losses[[0, 2]]).all()
    for name, value in before.items():
        np.testing.assert_array_equal(after[name][[0, 2]], value[[0, 2]], err_msg=name)
    same = [name for name in before if name.startswith("weight.") and (after[name][1] == before[name][1]).all()]
    assert not same, f"training left these weights of the active slot as they were: {same}"


def test_state_goes_on_exactly(tiny_corpus: Corpus) -> None:
    windows = Windows(tiny_corpus, CONTEXT)
    config = configs(tiny_corpus.vocab_size)["llama"]
    ids = some_ids(windows, tiny_corpus, 3)
    straight, resumed = stack(config, windows, 3), stack(config, windows, 3)
    straight.train(ids[:, :20], np.ones(3, bool))
    resumed.load_state_dict(straight.state_dict())
    expected = straight.train(ids[:, 20:40], np.ones(3, bool))
    np.testing.assert_array_equal(resumed.train(ids[:, 20:40], np.ones(3, bool)), expected)


def test_saved_model_is_a_transformers_model(tiny_corpus: Corpus, tmp_path: Path) -> None:
    windows = Windows(tiny_corpus, CONTEXT)
    backend = stack(configs(tiny_corpus.vocab_size)["llama"], windows, 2)
    ids = some_ids(windows, tiny_corpus, 2)
    backend.train(ids, np.ones(2, bool))
    backend.save_pretrained(1, tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    tokens = torch.from_numpy(windows.fetch(ids[1, 0]))
    loss = model(input_ids=tokens, labels=tokens).loss.item()
    expected = backend.evaluate(ids[:, 0], averaged=False)[1].mean()
    assert loss == pytest.approx(expected, abs=1e-4)


def test_averaged_weights_follow_the_trained_ones(tiny_corpus: Corpus) -> None:
    windows = Windows(tiny_corpus, CONTEXT)
    backend = stack(configs(tiny_corpus.vocab_size)["llama"], windows, 1)
    ids = some_ids(windows, tiny_corpus, 1)
    np.testing.assert_array_equal(backend.evaluate(ids[:, 0], True), backend.evaluate(ids[:, 0], False))
    backend.train(ids, np.ones(1, bool))
    assert (backend.evaluate(ids[:, 0], True) != backend.evaluate(ids[:, 0], False)).all()


def test_influence_is_the_inner_product_of_gradients(tiny_corpus: Corpus, tmp_path: Path) -> None:
    windows = Windows(tiny_corpus, CONTEXT)
    config = configs(tiny_corpus.vocab_size)["llama"]
    backend = stack(config, windows, 2)
    ids = some_ids(windows, tiny_corpus, 2)
    backend.train(ids, np.ones(2, bool))
    backend.save_pretrained(0, tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)

    def gradient(window_ids: np.ndarray) -> torch.Tensor:
        model.zero_grad()
        tokens = torch.from_numpy(windows.fetch(window_ids))
        logits = model(input_ids=tokens[:, :-1]).logits
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()).backward()
        return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])

    reference = gradient(ids[0, 0])
    exact = [float(reference @ gradient(ids[0, 1, window : window + 1])) for window in range(8)]
    influence, loss, _ = backend.influence(ids[:, :1], np.ones((len(ids), 1)), ids[:, 1], 4)
    np.testing.assert_allclose(influence[0], exact, rtol=0.05, atol=0.02 * np.abs(exact).max())
    np.testing.assert_allclose(loss, backend.evaluate(ids[:, 1], False), atol=5e-3)


def test_influence_on_groups_adds_up(tiny_corpus: Corpus) -> None:
    windows = Windows(tiny_corpus, CONTEXT)
    backend = stack(configs(tiny_corpus.vocab_size)["llama"], windows, 2)
    ids = some_ids(windows, tiny_corpus, 2)
    backend.train(ids[:, :10], np.ones(2, bool))
    groups, weight = ids[:, 10:13], np.array([[0.5, 0.3, 0.2], [1.0, 0.0, 0.0]])
    influence_NP, _, by_group = backend.influence(groups, weight, ids[:, 20], 2)
    scale = np.abs(influence_NP).max(1, keepdims=True)
    total_NP = np.einsum("ng,ngp->np", weight, by_group)
    np.testing.assert_allclose(total_NP / scale, influence_NP[:, ::2] / scale, atol=0.06)
    first_NP, _, first_by_group = backend.influence(groups[:, :1], np.ones((2, 1)), ids[:, 20], 2)
    np.testing.assert_allclose(by_group[1, 0] / scale[1], first_by_group[1, 0] / scale[1], atol=0.03)
    np.testing.assert_allclose(first_by_group[:, 0], first_NP[:, ::2], err_msg="of one group both are the same")


def test_learning_rates_scale_a_run_alone(tiny_corpus: Corpus) -> None:
    windows = Windows(tiny_corpus, CONTEXT)
    config, ids = configs(tiny_corpus.vocab_size)["llama"], some_ids(windows, tiny_corpus, 3)
    backend = stack(config, windows, 3)
    backend.start(1, FIRST_SEED + 1, lr_scale=0.5)
    halved = TrainConfig(SCHEDULE, OptimizerConfig(0.01, 0.005))
    alone = ProxyStack(config, windows, halved, 1)
    alone.start(0, FIRST_SEED + 1)
    losses = backend.train(ids, np.ones(3, bool))
    np.testing.assert_allclose(losses[1], alone.train(ids[1:2], np.ones(1, bool))[0], atol=1e-6)
    np.testing.assert_array_equal(losses[[0, 2]], stack(config, windows, 3).train(ids, np.ones(3, bool))[[0, 2]])
    state = backend.state_dict()
    backend.start(1, 7)
    backend.load_state_dict(state)
    assert backend.lr_scale_N.tolist() == [1.0, 0.5, 1.0]


def test_a_run_is_clipped_by_its_own_gradient(tiny_corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against torch's own clipping in a plain loop; the gradients of the other slots do not count."""
    windows = Windows(tiny_corpus, CONTEXT)
    config, ids = configs(tiny_corpus.vocab_size)["llama"], some_ids(windows, tiny_corpus, 3)[:, :10]
    rates = OptimizerConfig(0.02, 0.01, clip_norm=0.5)
    backend = ProxyStack(config, windows, TrainConfig(SCHEDULE, rates), 3)
    for slot in range(3):
        backend.start(slot, FIRST_SEED + slot)
    losses = np.stack([backend.train(ids[:, step : step + 1], np.ones(3, bool)) for step in range(10)], 1)
    alone = train_alone(config, tiny_corpus, ids[1], FIRST_SEED + 1, monkeypatch, rates)
    np.testing.assert_allclose(losses[1], alone, atol=TOLERANCE_NATS)
    free = train_alone(config, tiny_corpus, ids[1], FIRST_SEED + 1, monkeypatch)
    assert abs(losses[1] - free).max() > 10 * TOLERANCE_NATS


def test_bfloat16_products_train_as_well(tiny_corpus: Corpus) -> None:
    windows = Windows(tiny_corpus, CONTEXT)
    config, ids = configs(tiny_corpus.vocab_size)["llama"], some_ids(windows, tiny_corpus, 2)
    final = {}
    for products in (torch.float32, torch.bfloat16):
        train = TrainConfig(SCHEDULE, RATES, products=products)
        backend = ProxyStack(config, windows, train, 2)
        for slot in range(2):
            backend.start(slot, slot)
        before = backend.evaluate(ids[:, 0], False).mean(1)
        backend.train(ids, np.ones(2, bool))
        final[products] = backend.evaluate(ids[:, 0], False).mean(1)
        assert (final[products] < before - 0.5).all()
        kept = {name: value.dtype for name, value in backend.shards[0].parameters.items()}
        assert set(kept.values()) == {torch.float32}, kept
    difference = abs(final[torch.float32] - final[torch.bfloat16])
    assert 0 < difference.max() < 0.05


def test_influence_ranks_windows_as_a_step_on_each_does(tiny_corpus: Corpus) -> None:
    windows = Windows(tiny_corpus, CONTEXT)
    backend, one = stack(configs(tiny_corpus.vocab_size)["llama"], windows, 1), np.ones(1, bool)
    ids = some_ids(windows, tiny_corpus, 1)
    backend.train(ids[:, :40], one)
    reference = np.array(windows.ids(tiny_corpus.splits["prose/validation"]))[None, :64]
    probe = ids[:, 40:].reshape(1, -1)
    influence = backend.influence(reference[:, None], np.ones((1, 1)), probe, 1)[0][0]
    before, state = backend.evaluate(reference, False).mean(), backend.state_dict()
    fall = np.zeros(probe.shape[1])
    for index, window in enumerate(probe[0]):
        backend.train(np.full((1, 1, 1), window), one)
        fall[index] = before - backend.evaluate(reference, False).mean()
        backend.load_state_dict(state)
    correlation = spearmanr(influence, fall).statistic
    assert correlation > 0.8


def test_dropout_is_off(tiny_corpus: Corpus) -> None:
    windows = Windows(tiny_corpus, CONTEXT)
    config = GPT2Config(vocab_size=tiny_corpus.vocab_size, n_embd=32, n_layer=1, n_head=2, n_positions=CONTEXT)
    assert config.resid_pdrop > 0
    ids = some_ids(windows, tiny_corpus, 1)
    first, second = stack(config, windows, 1), stack(config, windows, 1)
    active = np.ones(1, bool)
    np.testing.assert_array_equal(first.train(ids[:, :3], active), second.train(ids[:, :3], active))
    np.testing.assert_array_equal(first.evaluate(ids[:, 0], False), second.evaluate(ids[:, 0], False))


def test_a_norms_rounding_does_not_depend_on_the_number_of_models() -> None:
    """Where influence feeds back, a last bit changes the draws, and the difference grows to .07 nats in an episode."""
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.randn(8, 40 + i, 48, generator=generator) for i in range(12)]
    for count in range(1, 8):
        few_N, all_N = norm_N([value[:count] for value in tensors]), norm_N(tensors)
        assert torch.equal(few_N, all_N[:count]), f"{count} of 8 models"


@pytest.mark.parametrize("wrong", [{"muon_lr": float("nan")}, {"adam_lr": 0.0}, {"momentum": 1.0}])
def test_rates_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(wrong))} is "):
        OptimizerConfig(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 3])
def test_a_stack_leaves_the_threads_of_the_process(tiny_corpus: Corpus, count: int) -> None:
    """Of this thread, and of those that begin later: a loader's, or a Trainer's after a trial."""
    windows = Windows(tiny_corpus, CONTEXT)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        backend = ProxyStack(llama(windows.corpus.vocab_size, 16, 1, CONTEXT), windows, TrainConfig(SCHEDULE), count)
        backend.evaluate(np.tile(windows.ids(range(5))[:1], (count, 1)), averaged=False)
        with ThreadPoolExecutor(1) as pool:
            assert torch.get_num_threads() == pool.submit(torch.get_num_threads).result() == 3
    finally:
        torch.set_num_threads(before)


def test_a_device_that_is_not_there_is_refused(tiny_corpus: Corpus) -> None:
    windows = Windows(tiny_corpus, CONTEXT)
    config = llama(windows.corpus.vocab_size, 16, 1, CONTEXT)
    with pytest.raises(InputError, match="device is 'cuda:99', which torch cannot use"):
        ProxyStack(config, windows, TrainConfig(SCHEDULE), 1, "cuda:99")
