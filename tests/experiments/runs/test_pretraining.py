"""pretraingym pretrain: the result folder, exact resume on any number of ranks, damage, full disks, dead ranks."""

import errno
import json
import math
import multiprocessing
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

from pretraingym.env.episode_config import EpisodeConfig
from pretraingym.env.settings.setting import Setting
from pretraingym.experiments.commands.pretrain import MAY_CHANGE, PretrainConfig, main
from pretraingym.experiments.runs.pretraining import PART_STEPS, TEST_WINDOWS
from pretraingym.experiments.runs.run_folder import check_folder
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError
from pretraingym.lm.models.engine_config import EngineConfig
from pretraingym.lm.target import checkpoints
from pretraingym.lm.target.checkpoints import Checkpoints
from pretraingym.lm.target.ranks import Ranks
from pretraingym.lm.target.target import Target

Stopped = Callable[[PretrainConfig, int], None]
CLOCK = EpisodeConfig(
    num_intervals=3,
    steps_per_interval=12,
    batch_windows=8,
    warmup_steps=4,
    probe_windows=16,
    reference_windows=8,
    validation_windows=16,
    final_windows=32,
)
TOLERANCE_NATS = 2e-3  # of other ranks: sums in another order, 40 steps and what influence makes of them
RANKS_S = 120
OnRanks = Callable[[int, Callable[[], Any]], list[multiprocessing.process.BaseProcess]]
AllRanks = Callable[[int, Callable[[], Any]], None]


@pytest.fixture
def config(tiny_corpus: Corpus, tmp_path: Path) -> PretrainConfig:
    setting = Setting(width=32, context=96, episode=CLOCK)
    engine = EngineConfig(pass_sequences=3)  # so that sums differ between ranks
    return PretrainConfig(
        "lift",
        folder=tmp_path / "run",
        corpus=tiny_corpus.path,
        target=setting,
        engine=engine,
        save_every_s=1e-6,
        no_trial=True,
    )


def curve(config: PretrainConfig) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (config.folder / "metrics.jsonl").read_text().splitlines()]


def losses(config: PretrainConfig) -> np.ndarray:
    rows = curve(config)
    return np.array([[row["train_loss_nats"], *row["validation_loss_nats"].values()] for row in rows])


def test_the_result_is_a_transformers_model_with_a_card(config: PretrainConfig, tiny_corpus: Corpus) -> None:
    result = main(config)
    model = AutoModelForCausalLM.from_pretrained(result["model"])
    tokenizer = AutoTokenizer.from_pretrained(result["model"])
    assert len(tokenizer) == tiny_corpus.vocab_size
    assert tokenizer.model_max_length == config.target.context == model.config.max_position_embeddings
    for name in ("eos_token_id", "bos_token_id", "pad_token_id"):
        places = model.config, model.generation_config, tokenizer
        assert [getattr(place, name) for place in places] == [tiny_corpus.end_of_text] * 3
    written = pipeline("text-generation", model=result["model"])("aei", max_new_tokens=3, do_sample=False)
    assert written[0]["generated_text"].startswith("aei")
    assert 0 < result["console_share"] < 1
    assert result["tokens"] <= config.target.budget_tokens
    task = config.target.task(tiny_corpus)
    ids = task.sample_reference(np.full((1, 2), 0.5), 2 * TEST_WINDOWS, "test", np.zeros(1, np.uint64))
    tokens = torch.from_numpy(task.windows.fetch(ids.ids[0][ids.task[0] == task.reference_tasks.index("prose")]))
    with torch.no_grad():
        loss = model(input_ids=tokens.clamp(min=0), labels=tokens).loss.item()
    assert loss == pytest.approx(result["test_loss_nats"]["prose"], rel=0.05)  # of other windows, weighted otherwise
    card = (Path(result["model"]) / "README.md").read_text()
    for text in ("**lift** chose", tiny_corpus.fingerprint, "| prose |"):
        assert text in card, text
    assert main(replace(config, resume=True))["test_loss_nats"] == result["test_loss_nats"]  # it was finished


@pytest.mark.parametrize("saves", [1, 2, 4])  # in warm-up there is no part to save; at a decision, in mid-interval
def test_a_stopped_run_goes_on_exactly(config: PretrainConfig, saves: int, tmp_path: Path, stopped: Stopped) -> None:
    whole = replace(config, folder=tmp_path / "whole")
    result = main(whole)
    stopped(config, saves)
    again = main(replace(config, resume=True, engine=replace(config.engine, pass_sequences=3, save_memory=True)))
    assert again["test_loss_nats"] == result["test_loss_nats"]
    assert curve(config) == curve(whole)
    assert len(list((config.folder / "checkpoints").iterdir())) <= config.keep + 1


@pytest.mark.parametrize("name", ["rank-00000.safetensors", "run.safetensors", "manifest.json"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    config: PretrainConfig, tmp_path: Path, name: str, stopped: Stopped
) -> None:
    whole = replace(config, folder=tmp_path / "whole")
    main(whole)
    stopped(config, 5)
    file = max((config.folder / "checkpoints").iterdir()) / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.warns(UserWarning, match=r"checkpoint .* is damaged \("):
        main(replace(config, resume=True))
    assert curve(config) == curve(whole)


def test_where_all_checkpoints_are_damaged_nothing_is_begun_anew(config: PretrainConfig, stopped: Stopped) -> None:
    stopped(config, 3)
    before = curve(config)
    for path in (config.folder / "checkpoints").iterdir():
        (path / "manifest.json").write_text("{}")
    with pytest.warns(UserWarning, match="is damaged"), pytest.raises(InputError, match="all 2 checkpoints in"):
        main(replace(config, resume=True))
    with pytest.raises(InputError, match="all 2 checkpoints in"):
        main(replace(config, resume=True))
    assert curve(config) == before


def test_damaged_checkpoints_do_not_push_out_whole_ones(config: PretrainConfig, stopped: Stopped) -> None:
    stopped(config, 3)
    newest = max((config.folder / "checkpoints").glob("step-*"))
    (newest / "run.safetensors").write_bytes(b"")
    with pytest.warns(UserWarning, match="is damaged"):
        stopped(replace(config, resume=True), 1)
    kept = sorted(path.name for path in (config.folder / "checkpoints").iterdir())
    assert kept == [f"damaged-{newest.name}", *[name for name in kept if name.startswith("step-")]]
    assert len(kept) == 3


def test_nothing_that_is_not_finite_is_saved(config: PretrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    train, count = Target.train, [0]

    def sick(self: Target, windows: Any, active: Any) -> Any:
        count[0] += 1
        return train(self, windows, active) * (math.nan if count[0] == 4 else 1.0)

    monkeypatch.setattr(Target, "train", sick)
    with pytest.raises(InputError, match=r"diverged by step 26: its loss is not finite; lower the learning rates"):
        main(config)
    found = Checkpoints(config.folder / "checkpoints", Ranks("cpu")).newest()
    assert found is not None
    assert found.about["step"] == 16


def test_another_configuration_is_refused(config: PretrainConfig, stopped: Stopped) -> None:
    stopped(config, 1)
    with pytest.raises(InputError, match=r"policy is lift there, natural here; seed is 0 there, 1 here; name"):
        main(replace(config, resume=True, policy="natural", seed=1))
    with pytest.raises(InputError, match=r"engine.packing is documents there, plain here; name"):
        main(replace(config, resume=True, engine=replace(config.engine, packing="plain", pass_sequences=2)))
    with pytest.raises(InputError, match="add --resume"):
        main(config)


def test_an_engine_of_an_earlier_version_is_no_obstacle(config: PretrainConfig, stopped: Stopped) -> None:
    """Its option `liger`, for kernels that computed the same, is gone."""
    stopped(config, 1)
    saved = config.folder / "config.json"
    begun = json.loads(saved.read_text())
    assert "liger" not in begun["engine"]
    saved.write_text(json.dumps(begun | {"engine": begun["engine"] | {"liger": True}}))
    check_folder(config.folder, config, True, MAY_CHANGE)


def test_limits_are_kept_and_told_through_a_restart(
    config: PretrainConfig, tiny_corpus: Corpus, tmp_path: Path, stopped: Stopped
) -> None:
    limited = replace(config, epochs=("domain=prose:0.02", "topic=code-0:0"), share=("domain=tests:0.4",))
    whole = replace(limited, folder=tmp_path / "whole")
    result = main(whole)
    kept = result["limits"]
    assert kept["epochs domain=prose:0.02"] <= 0.02
    assert kept["epochs topic=code-0:0"] == 0
    assert 0.4 <= kept["share domain=tests:0.4"] < 0.42
    last = curve(whole)[-1]
    for row in curve(whole):
        for rows in row["drawn"].values():
            assert sum(each["tokens"] for each in rows) == row["tokens"]
    tests = next(each for each in last["drawn"]["domain"] if each["category"] == "tests")
    card = (Path(result["model"]) / "README.md").read_text()
    assert f"| domain | tests | {tests['tokens']:,} | {tests['share']:.2%} |" in card
    stopped(limited, 2)
    with pytest.raises(InputError, match=r"share is \['domain=tests:0.4'\] there, \['domain=tests:0.3'\] here; name"):
        main(replace(limited, resume=True, share=("domain=tests:0.3",)))
    assert main(replace(limited, resume=True))["limits"] == kept
    assert curve(limited) == curve(whole)


def test_limits_are_refused_before_the_work(config: PretrainConfig) -> None:
    """And told by a dry run, which trains nothing either."""
    for share, told in (("domain=test:0.4", "did you mean 'tests'"), ("topic=code-0:0.9", "lower a share")):
        limited = replace(config, share=(share, "domain=prose:0.3"))
        for each in (limited, replace(limited, dry_run=True)):
            with pytest.raises(InputError, match=told):
                main(each)
    assert not config.folder.exists()
    limited = replace(config, share=("prose=0.3",), dry_run=True)
    told = main(limited)["limits"]["share domain=prose:0.3"]
    assert told.startswith(f"domain=prose needs 0.3 x {config.target.budget_tokens:,} = ")
    with pytest.raises(InputError, match="add --corpus"):
        main(replace(limited, corpus=None))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_no_more_ends_the_run_and_loses_nothing(
    config: PretrainConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int
) -> None:
    whole = replace(config, folder=tmp_path / "whole")
    main(whole)
    with monkeypatch.context() as patch:
        save, count = checkpoints.save_file, [0]

        def failing(*arguments: Any) -> None:
            count[0] += 1
            if count[0] == 3:
                raise RuntimeError(f"I/O error: {os.strerror(number)} (os error {number})")
            save(*arguments)

        patch.setattr(checkpoints, "save_file", failing)
        with pytest.raises(OSError, match=os.strerror(number)):
            main(config)
    main(replace(config, resume=True))
    assert curve(config) == curve(whole)


def test_a_run_goes_on_from_the_weights_of_another(config: PretrainConfig, tmp_path: Path) -> None:
    """Continued pretraining: a folder's weights and tokenizer, on another seed's text."""
    first = main(config)
    tokenizer = AutoTokenizer.from_pretrained(first["model"])
    tokenizer.chat_template = "{{ messages }}"
    tokenizer.save_pretrained(first["model"])
    generation = Path(first["model"]) / "generation_config.json"
    generation.write_text(json.dumps({"temperature": 0.5, "do_sample": True}))
    setting = Setting(origin=Path(first["model"]), context=96, episode=CLOCK)
    more = main(replace(config, folder=tmp_path / "more", target=setting, seed=1))
    assert more["target_params"] == first["target_params"]
    assert (
        curve(replace(config, folder=tmp_path / "more"))[0]["train_loss_nats"]
        < curve(config)[0]["train_loss_nats"] - 0.3
    )
    assert AutoTokenizer.from_pretrained(more["model"]).chat_template == "{{ messages }}"
    assert (Path(more["model"]) / "generation_config.json").read_text() == generation.read_text()
    assert "Pretrained further, from the weights in `model`," in (Path(more["model"]) / "README.md").read_text()
    told = main(replace(config, dry_run=True, corpus=None, target=setting))
    assert (told["params"], told["vocabulary"]) == (first["target_params"], len(tokenizer))
    weights = Path(first["model"]) / "model.safetensors"
    tensors = load_file(weights)
    lost = min(tensors)
    save_file({name: tensor for name, tensor in tensors.items() if name != lost}, weights, {"format": "pt"})
    with pytest.raises(InputError, match=rf"has no weights of {re.escape(lost)} \(1 missing\)"):
        main(replace(config, folder=tmp_path / "no", target=setting))
    with pytest.raises(InputError, match="no tokenizer.json in"):
        main(replace(config, folder=tmp_path / "no", target=replace(setting, origin=tmp_path / "nothing")))
    with pytest.raises(InputError, match="origin given with a model or a tokenizer, expected it alone"):
        replace(setting, tokenizer=tmp_path)


def test_ranks_come_to_the_same_and_go_on_from_each_others_checkpoints(
    config: PretrainConfig, tmp_path: Path, all_ranks: AllRanks, stopped: Stopped
) -> None:
    """One rank, two with DDP, two with FSDP2, and a run that has been each in turn."""
    # Agents that feedback does not move: or rounding may move a share past the next window, which then is another one.
    fixed = replace(config.target, agents=("null", "match-code", "match-prose", "quality"))
    config = replace(config, target=fixed)
    alone = replace(config, folder=tmp_path / "alone")
    main(alone)
    mixed = replace(config, folder=tmp_path / "mixed", resume=True)
    for parallel in ("ddp", "fsdp"):
        run = replace(config, folder=tmp_path / parallel, engine=replace(config.engine, parallel=parallel))
        all_ranks(2, partial(main, run))
        np.testing.assert_allclose(losses(run), losses(alone), atol=TOLERANCE_NATS)
        weights = [[list(row["weights"].values()) for row in curve(each)] for each in (run, alone)]
        np.testing.assert_allclose(*weights, atol=0.02)
    for count, parallel, saves in ((2, "fsdp", 2), (3, "fsdp", 1), (2, "ddp", 1)):
        part = replace(mixed, engine=replace(config.engine, parallel=parallel))

        all_ranks(count, partial(stopped, part, saves))
    main(mixed)
    np.testing.assert_allclose(losses(mixed), losses(alone), atol=TOLERANCE_NATS)


def test_a_dead_rank_ends_the_others(config: PretrainConfig, on_ranks: OnRanks) -> None:
    long = replace(config, target=replace(config.target, episode=replace(CLOCK, steps_per_interval=5000)))
    processes = on_ranks(2, lambda: main(long))
    until = time.monotonic() + RANKS_S
    while not list((config.folder / "checkpoints").glob("step-*")) and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(processes[1].pid or 0, signal.SIGKILL)
    processes[0].join(30)
    assert processes[0].exitcode not in (0, None)


def test_a_corpus_that_rank_0_refuses_ends_all(config: PretrainConfig, tmp_path: Path, on_ranks: OnRanks) -> None:
    """It alone reads all of the files; the others end with it, without a message of theirs."""
    damaged = shutil.copytree(config.corpus or Path(), tmp_path / "damaged")
    with open(damaged / "text.bin", "r+b") as file:
        file.write(b"\0")
    processes = on_ranks(2, lambda: main(replace(config, corpus=damaged)))
    for process in processes:
        process.join(RANKS_S)
    assert [process.exitcode for process in processes] == [1, 2]
    assert not config.folder.exists()


def test_told_to_stop_it_saves_and_stops(config: PretrainConfig, tmp_path: Path, all_ranks: AllRanks) -> None:
    """As a scheduler does before it kills; one rank's notice is enough."""
    whole, rare = replace(config, folder=tmp_path / "whole"), replace(config, save_every_s=1e9)
    main(whole)
    train, second_interval = Target.train, CLOCK.warmup_steps + CLOCK.steps_per_interval

    def told(self: Target, *arguments: Any) -> Any:
        if self.steps_N[0] == second_interval and self.ranks.rank == self.ranks.count - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return train(self, *arguments)

    def work() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Target, "train", told)
            with pytest.raises(KeyboardInterrupt):
                main(rare)

    work()
    assert len(curve(config)) == 1
    newest = max(path.name for path in (config.folder / "checkpoints").iterdir())
    assert newest == f"step-{second_interval + PART_STEPS:09d}"
    main(replace(rare, resume=True))
    assert curve(config) == curve(whole)
    rare = replace(rare, folder=tmp_path / "two")
    all_ranks(2, work)
    assert len(curve(rare)) == 1


def test_the_documents_do_not_depend_on_the_ranks(config: PretrainConfig, tmp_path: Path, all_ranks: AllRanks) -> None:
    """Where nothing of the draw is measured, to the last one."""
    static = replace(config, policy="constant:strength=0.5,match=1,quality=1")
    states = []
    for ranks in (1, 2):
        run = replace(static, folder=tmp_path / f"on-{ranks}")
        if ranks == 1:
            main(run)
        else:
            all_ranks(ranks, partial(main, run))
        newest = max((run.folder / "checkpoints").iterdir()) / "run.safetensors"
        states.append(load_file(newest))
    for name in ("episode/in_hand/windows", "episode/sampler/used_NC"):
        np.testing.assert_array_equal(states[0][name], states[1][name], err_msg=name)
    assert np.isfinite(states[0]["episode/in_hand/loss_sum"]).all()
