"""What the ranks of one model tell each other: how long they wait, in which type weights travel, and how many bytes."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from time import sleep
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch.distributed.fsdp._fully_shard import _fully_shard
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pretraingym.lm.backend import Schedule
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.corpus.windows import Windows
from pretraingym.lm.io.errors import InputError
from pretraingym.lm.models.causal_lm import llama, ready_model
from pretraingym.lm.models.engine_config import EngineConfig
from pretraingym.lm.models.optimizer import orthogonalise
from pretraingym.lm.models.optimizer_config import OptimizerConfig
from pretraingym.lm.models.training import TrainConfig
from pretraingym.lm.target import placement, ranks
from pretraingym.lm.target.placement import Replicated, Sharded
from pretraingym.lm.target.ranks import Ranks
from pretraingym.lm.target.target import Target
from pretraingym.lm.target.target_model import TargetModel

AllRanks = Callable[[int, Callable[[], Any]], None]
CONTEXT, ACTIVE = 64, np.ones(1, bool)
TRAIN = TrainConfig(Schedule(12, warmup_steps=5), OptimizerConfig(0.02, 0.01, clip_norm=0.5))
HALF = replace(TRAIN, products=torch.bfloat16)


@pytest.fixture(scope="module")
def windows(tiny_corpus: Corpus) -> Windows:
    return Windows(tiny_corpus, CONTEXT)


def a_target(windows: Windows, train: TrainConfig, **engine: Any) -> Target:
    config = llama(windows.corpus.vocab_size, 32, 2, CONTEXT)
    return Target(config, windows, train, EngineConfig(pass_sequences=2, **engine))


def some_ids(windows: Windows, *shape: int) -> np.ndarray:
    ids = windows.ids(windows.corpus.splits["train"])
    return np.random.default_rng(0).choice(ids, shape)


def measured(target: Target, windows: Windows) -> np.ndarray:
    """Losses and influence of some windows."""
    probe, reference = some_ids(windows, 1, 5), some_ids(windows, 1, 2, 3)
    seen = target.evaluate(probe, False), *target.influence(reference, np.array([[0.25, 0.75]]), probe, 4)
    return np.concatenate([value.ravel() for value in seen])


# Fewer rows, and fewer matrices, than there are ranks; and neither a multiple of their number.
@pytest.mark.parametrize(("matrices", "rows"), [(5, 7), (1, 2)])
def test_shared_out_matrices_are_orthogonalised_as_whole_ones(matrices: int, rows: int, all_ranks: AllRanks) -> None:
    update = torch.randn(matrices, rows, 4, generator=torch.Generator().manual_seed(0))
    whole = orthogonalise(update)

    def work() -> None:
        here = Ranks("cpu")
        sharded = Sharded(here, {})
        own = sharded.rows(rows)
        torch.testing.assert_close(sharded.orthogonalise(update[:, own], update.shape), whole[:, own])
        torch.testing.assert_close(Replicated(here).orthogonalise(update, update.shape), whole)

    all_ranks(3, work)


def test_weights_travel_in_half_in_training_and_exactly_in_measurements(windows: Windows, all_ranks: AllRanks) -> None:
    alone = a_target(windows, HALF)
    expected, ids = measured(alone, windows), some_ids(windows, 1, 4, 6)
    trained = alone.train(ids, ACTIVE)
    after = measured(alone, windows)

    def work() -> None:
        sent: set[torch.dtype] = set()

        def noting(output: torch.Tensor, *arguments: Any, **more: Any) -> Any:
            sent.add(output.dtype)
            return ranks.all_gather(output, *arguments, **more)

        def of(*work: Callable[[], object]) -> set[torch.dtype]:
            sent.clear()
            for each in work:
                each()
            return set(sent)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(placement, "all_gather", noting)
            patch.setattr(_fully_shard, "_init_default_mesh", None)  # what torch takes where it is given no mesh
            target = a_target(windows, HALF, parallel="fsdp")
            seen: dict[str, np.ndarray] = {}
            assert of(lambda: seen.update(new=measured(target, windows))) == {torch.float32}
            assert of(lambda: seen.update(trained=target.train(ids, ACTIVE))) == {torch.bfloat16}
            assert of(lambda: seen.update(after=measured(target, windows))) == {torch.float32}
        np.testing.assert_allclose(seen["new"], expected, atol=1e-4)
        np.testing.assert_allclose(seen["trained"], trained, atol=0.01)
        np.testing.assert_allclose(seen["after"], after, atol=0.05)
        for name, value in target.model.module_parameters.items():
            assert value.device_mesh.device_type == "cpu", name

    all_ranks(2, work)


def compiled_as_plain(windows: Windows, all_ranks: AllRanks, compiler: Callable[..., Any]) -> None:
    """On two ranks, with the options that the large presets and their users have."""
    expected = a_target(windows, HALF).train(some_ids(windows, 1, 3, 6), ACTIVE)

    def work() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch, "compile", compiler)
            target = a_target(windows, HALF, parallel="fsdp", compile=True, save_memory=True)
            trained = target.train(some_ids(windows, 1, 3, 6), ACTIVE)
            measured(target, windows)
        np.testing.assert_allclose(trained, expected, atol=0.01)
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0, "nothing was compiled"

    all_ranks(2, work)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_sharded_layers_compile(windows: Windows, all_ranks: AllRanks) -> None:
    compiled_as_plain(windows, all_ranks, partial(torch.compile, backend="eager"))


class Traffic(TorchDispatchMode):
    """Counts the bytes of collectives, by name: of the larger side of each."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace == "c10d":
            tensors = [value for value in tree_leaves(args) if isinstance(value, torch.Tensor)]
            self.sent[func.overloadpacket.__name__] += max(value.numel() * value.element_size() for value in tensors)
        return func(*args, **(kwargs or {}))


def test_a_step_sends_no_more_than_it_must(all_ranks: AllRanks) -> None:
    """Eight ranks that are not there, of which this one is the fourth."""

    def work() -> None:
        dist.init_process_group("fake", rank=3, world_size=8)
        here = Ranks.__new__(Ranks)
        here.rank, here.count, here.device = 3, 8, torch.device("cpu")
        engine = EngineConfig(pass_sequences=1, parallel="fsdp", packing="none")
        config = llama(64, 64, 8, CONTEXT)
        model = TargetModel(ready_model(config, 0, None, engine), engine, TRAIN.optimizer, 0.9, here, torch.bfloat16)
        params = sum(shape.numel() for shape in model.shapes.values())
        matrices = sum(shape.numel() * len(names) for shape, names in model.optimizer.matrices.items())
        tokens, passes = np.arange(2 * CONTEXT).reshape(2, -1) % 64, 2
        with Traffic() as traffic:
            model.train_step(tokens, [[0], [1]], 2 * (CONTEXT - 1), 1.0)
        gathered, scattered = traffic.sent["_allgather_base_"], traffic.sent["_reduce_scatter_base_"]
        assert gathered == pytest.approx(2 * passes * 2 * params, rel=0.02), "forward and backward, of 2 bytes"
        assert scattered == pytest.approx(passes * 4 * params, rel=0.02), "sums are float32"
        assert traffic.sent["alltoall_base_"] == pytest.approx(2 * 2 * matrices / 8, rel=0.02), "Muon: an eighth"
        dist.destroy_process_group()

    all_ranks(1, work)


def test_only_what_rank_0_does_alone_may_take_long(monkeypatch: pytest.MonkeyPatch, all_ranks: AllRanks) -> None:
    monkeypatch.setattr(ranks, "TIMEOUT", timedelta(seconds=4))

    def long() -> str:
        sleep(5)
        return "done"

    def work() -> None:
        here = Ranks("cpu")
        assert here.on_first(long) == ("done" if here.first else None)
        if here.first:
            long()
        else:
            with pytest.raises(RuntimeError):  # gloo's
                here.wait()

    all_ranks(2, work)


def test_where_rank_0_cannot_all_end(all_ranks: AllRanks) -> None:
    def fail() -> None:
        raise InputError("no such corpus")

    def work() -> None:
        here = Ranks("cpu")
        if here.first:
            with pytest.raises(InputError, match="no such corpus"):
                here.on_first(fail)
        else:
            with pytest.raises(SystemExit) as ended:
                here.on_first(fail)
            assert ended.value.code == 2
        assert here.sum(torch.ones(1)) == 2  # they still reach each other

    all_ranks(2, work)


def test_the_group_ends_with_the_process_that_began_it(all_ranks: AllRanks) -> None:
    def work() -> None:
        at_exit: list[Callable[[], None]] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ranks.atexit, "register", at_exit.append)
            for _ in range(2):
                Ranks("cpu").wait()
        (end,) = at_exit
        end()
        assert not dist.is_initialized()

    all_ranks(2, work)
