"""The benchmarks run, on a tiny corpus, and measure what they say."""

import json
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest

from pretraingym.env.scenarios.task import Task
from pretraingym.env.settings.setting import Setting
from pretraingym.experiments.benchmarks import (
    anew,
    cells,
    corpus,
    document_noise,
    influence,
    proxies,
    randomness,
    room,
    signal,
    target,
    trial_verdicts,
)
from pretraingym.experiments.benchmarks.proxies_naive import MUONS, Job, Way, naive_proxies
from pretraingym.experiments.commands.presets import PRESETS
from pretraingym.experiments.commands.pretrain import PretrainConfig
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.corpus.windows import PART_BITS
from pretraingym.lm.ingest.synthetic import DOMAINS, synthetic_documents
from pretraingym.lm.io.errors import InputError
from pretraingym.lm.models.training import TrainConfig
from pretraingym.lm.proxies.stack import ProxyStack
from pretraingym.policies.trials.trial import TrialConfig


@pytest.fixture
def longer(tiny_setting: Setting) -> Setting:
    """Long enough for weight on the matching agent to pay."""
    return replace(tiny_setting, episode=replace(tiny_setting.episode, steps_per_interval=16))


def test_signal(tiny_corpus: Corpus, longer: Setting) -> None:
    config = signal.SignalConfig(corpus=str(tiny_corpus.path), seeds=3, pool_budgets=5, setting=longer)
    figures = signal.measure(config)
    assert figures["gain_nats"] > 0.1  # text of the reference's own domain
    assert figures["snr"] > 1
    assert 0 < figures["overhead_fraction"] < 1
    assert figures["seconds_per_episode"] > 0
    assert np.log(2) < figures["bigram_loss_nats"] < np.log(tiny_corpus.vocab_size)


def test_noise_of_documents(tiny_corpus: Corpus, longer: Setting) -> None:
    config = document_noise.NoiseConfig(str(tiny_corpus.path), pool_budgets=5, setting=longer)
    figures = document_noise.measure(config)
    assert figures["tasks"].keys() == {"prose", "code"}
    assert all(row["documents"] == 48 for row in figures["tasks"].values())
    assert 0.01 < figures["document_sd"] < figures["window_sd"] < 1


def test_components_are_those_that_values_were_made_of() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(2000), rng.integers(1, 9, 2000))
    values = 5 + rng.normal(0, 0.3, 2000)[group] + rng.normal(0, 0.5, len(group))
    assert document_noise.components(values, group) == pytest.approx((0.3, 0.5), rel=0.05)
    alone = rng.normal(0, 0.3, 2000)
    assert document_noise.components(alone, np.arange(2000)) == pytest.approx((0.3, 0), rel=0.05)


def test_bigrams_learn_what_a_bigram_can(tiny_corpus: Corpus) -> None:
    """The synthetic text is a bigram model's over words: more of it tells more."""
    task = Task(tiny_corpus, 16)
    few, many = (signal.bigram_loss_nats(task, tokens) for tokens in (1_600, 32_000))
    assert many < few - 0.2


def test_the_bigrams_are_a_distribution(tiny_corpus: Corpus) -> None:
    """Counted on the whole corpus and read on text of its own: between the entropy of what follows a known token and
    that of any token."""
    task = Task(tiny_corpus, 16)
    tokens = task.windows.fetch(np.array(task.windows.ids(tiny_corpus.splits["prose/validation"])))
    after, before = tokens[:, 1:][tokens[:, 1:] >= 0], tokens[:, :-1][tokens[:, 1:] >= 0]
    pairs, singles = (np.unique(x, return_counts=True)[1] for x in (before * 1000 + after, before))
    entropy = [-(count / count.sum() * np.log(count / count.sum())).sum() for count in (pairs, singles)]
    unigram = np.unique(after, return_counts=True)[1] / len(after)
    loss = signal.bigram_loss_nats(task, 60_000)
    assert entropy[0] - entropy[1] < loss < -(unigram * np.log(unigram)).sum()


def test_corpus(tmp_path: Path) -> None:
    documents = synthetic_documents(0, 300)["train"]
    lines = [json.dumps({"text": document.text, "domain": DOMAINS[document.domain]}) for document in documents]
    (tmp_path / "made-up.jsonl").write_text("\n".join(lines))
    config = corpus.CorpusBenchmark((str(tmp_path / "made-up.jsonl"),), (1, 2), folder=tmp_path / "built")
    figures = corpus.measure(config)
    assert figures["x2"]["text_mb"] == pytest.approx(2 * figures["x1"]["text_mb"], rel=0.1)
    for measured in figures.values():
        assert 50 < measured["peak_rss_mib"] < 2048
        assert 0.1 < measured["tokenise_ratio"] < 10
        assert 0 < measured["open_s"] < 1
        assert measured["label_mb_per_s"] > 0
    stages = corpus._stage_s("read: started\nlabel: done after 1:05, 1/1\ntokenise: done after 1:00:02")
    assert stages == {"label": 65, "tokenise": 3602}


def test_cells() -> None:
    """Three corpora by two sets of categories, of which the larger has every document alone in its cell."""
    figures = cells.measure(cells.CellsConfig(documents=3000, windows=1000))
    assert [(row["documents"], row["cells"]) for row in figures["grid"]] == [
        (30, 30),
        (30, 30),
        (300, 300),
        (300, 300),
        (3000, 455),
        (3000, 3000),
    ]
    largest = figures["grid"][-2:]
    assert figures["reweight_ms"] == max(row["reweight_ms"] for row in largest)
    assert figures["draw_1k_ms"] == max(row["draw_ms"] for row in largest)
    assert figures["json_lines_s"] == min(row["json_lines_s"] for row in largest)
    for row in largest:
        assert 0 < row["open_s"] < 1
        assert 10 < row["peak_rss_mib"] < 1024
        assert row["numpy_ms"] > 0


def test_influence(tiny_corpus: Corpus, longer: Setting) -> None:
    config = influence.InfluenceConfig(str(tiny_corpus.path), longer, 0.75, "domain", 60, 32, repeats=1)
    figures = influence.measure(config)
    assert figures["spearman_document"] > 0.5
    assert figures["spearman_category"] > 0.8
    assert figures["speedup"] > 0
    assert set(figures["agreement"]["influence"]) == {"all", *tiny_corpus.reference_tasks}


def test_the_oracle_leaves_the_model_as_it_was(tiny_corpus: Corpus, longer: Setting) -> None:
    config = influence.InfluenceConfig(str(tiny_corpus.path), longer, documents=8, references=8)
    task, rng = Task(tiny_corpus, longer.context), np.random.default_rng(0)
    backend = influence.trained(config, task, rng)
    before = backend.state_dict()
    documents = influence.stratified(task, "domain", 10, rng)
    np.testing.assert_array_equal(np.bincount(tiny_corpus.labels["domain"].column[documents]), 2)  # of each domain
    windows = documents << PART_BITS  # the first of each
    fall_PW = influence.oracle(backend, windows, windows)
    for name, value in backend.state_dict().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)
    assert (np.diag(fall_PW) > 0).mean() > 0.8  # a step on a window lowers its own loss


def test_proxies() -> None:
    config = proxies.ProxiesConfig(sizes=("0.08m",), counts=(1, 2), rounds=2, round_s=0.05)
    figures = json.loads(json.dumps(proxies.measure(config)))
    assert set(figures) >= {"device", "rows", "versions", "peak_flops"}
    assert [row["n"] for row in figures["rows"]] == [1, 2] * len(proxies.precisions("cpu"))
    for row in figures["rows"]:
        assert 70_000 < row["params"] < 90_000
        assert row["stack_tokens_per_s"] > 0
        if row["products"] == "bfloat16":
            assert row["naive_tokens_per_s"] >= (row["torch_muon_tokens_per_s"] or 0)
        assert row["ratio_range"][0] <= row["ratio"] <= row["ratio_range"][1]
        assert row["cpu_ratio"] > 0
        assert 0 < row["fraction_of_peak"] < 1
        assert 0 < row["overhead_fraction"] < 1


def test_naive_proxies_do_the_stack_s_work(tiny_corpus: Corpus, tiny_setting: Setting) -> None:
    """The same models on the same windows come to the same losses, whosever Muon it is."""
    task, model = Task(tiny_corpus, 16), tiny_setting.model_config(tiny_corpus.vocab_size)
    ids = np.random.default_rng(0).choice(task.windows.ids(tiny_corpus.splits["train"]), (2, 12, 16))
    rates = tiny_setting.optimizer
    stack = ProxyStack(model, task.windows, TrainConfig(proxies.SCHEDULE, rates), 2)
    for slot in range(2):
        stack.start(slot, slot)
    expected = [stack.train(ids[:, step : step + 1], np.ones(2, bool)) for step in range(12)]
    with naive_proxies(Job(model, tiny_corpus.path, 16, rates, proxies.SCHEDULE), 2) as naive:
        for muon in MUONS:
            losses, _, _ = naive.train(Way(2, 1, muon), ids)
            # torch.optim.Muon orthogonalises in bfloat16
            np.testing.assert_allclose(losses.T, expected, atol=1e-2 if muon == "torch" else 1e-4)
            assert (losses[:, -1] < losses[:, 0]).all(), f"{muon}: every model learns"


def test_naive_proxies_end_on_an_error(tiny_corpus: Corpus, tiny_setting: Setting) -> None:
    job = Job(tiny_setting.model_config(99), tiny_corpus.path, 16, tiny_setting.optimizer, proxies.SCHEDULE)
    others = set(active_children())  # workers of other tests may still be about
    with pytest.raises(EOFError), naive_proxies(job, 1) as naive:
        naive.train(Way(1, 1, "nobody's"), np.full((1, 1, 1), -1))  # no such window: the process dies
    assert set(active_children()) <= others


@pytest.mark.filterwarnings("ignore:The main reference tasks are few")
def test_weights_searched_anew(tiny_corpus: Corpus, tiny_setting: Setting, tmp_path: Path) -> None:
    config = anew.AnewConfig(
        ("uniform",),
        tmp_path / "anew",
        tiny_corpus.path,
        tiny_setting,
        scenarios=2,
        population=4,
        generations=2,
        seeds=2,
        test_windows=16,
    )
    figures = anew.measure(config)
    assert set(figures["policies"]) == {"anew", "start", "uniform"}
    assert set(figures["fraction"]) == {"start", "uniform"}
    assert figures["search_runs"] == config.population * config.generations
    stages = json.loads((tmp_path / "anew" / "stages.json").read_text())
    found = stages["search-0"]["result"]
    assert found["start"]["strength"] > 0.99  # uniform's, where the search begins
    assert found["anew"]["strength"] != found["start"]["strength"]
    assert sum(found["anew"]["shares"].values()) == pytest.approx(1)
    del stages["scores-1-1"]  # as where it was killed in that one
    (tmp_path / "anew" / "stages.json").write_text(json.dumps(stages))
    assert anew.measure(replace(config, resume=True)) == figures


def test_room_goes_on_where_it_was(tiny_corpus: Corpus, tiny_setting: Setting, tmp_path: Path) -> None:
    folder = tmp_path / "room"
    config = room.RoomConfig(folder, tiny_corpus.path, consoles=4, scenarios=2, seeds=2, setting=tiny_setting)
    figures = room.measure(config)
    assert json.loads(json.dumps(figures)) == figures
    stages = json.loads((folder / "stages.json").read_text())
    told = stages.pop("scenario-1-1")["result"]  # as where it was killed in that one
    assert np.isfinite(told["gain"]).all()
    assert np.shape(told["weights"]) == (config.consoles, len(told["mask"]))
    (folder / "stages.json").write_text(json.dumps(stages))
    assert room.measure(replace(config, resume=True)) == figures
    assert json.loads((folder / "stages.json").read_text())["scenario-1-1"]["result"] == told
    with pytest.raises(InputError, match="a run of another configuration: seed is 0 there, 1 here"):
        room.measure(replace(config, seed=1, resume=True))


def test_room_of_known_gains() -> None:
    """Each scenario has its own winner, by .3 over the console that is second everywhere; noise decides nothing."""
    num_scenarios = 4
    gains = np.zeros((num_scenarios, 2, num_scenarios + 1))
    gains[..., -1] = 0.2  # of the console that is second everywhere
    for scenario in range(num_scenarios):
        gains[scenario, :, scenario] = 0.5
    figures = room.room(gains)
    assert (figures["winner_nats"], figures["constant_nats"]) == pytest.approx((0.5, 0.2))
    assert figures["room_over_constant"] == pytest.approx(1.5)
    lucky = np.array([[[0.5, 0.0], [0.0, 0.5]]] * 4)  # by luck alone: what wins on one seed loses on the other
    assert room.room(lucky)["winner_nats"] == 0


def test_randomness(tiny_corpus: Corpus, tiny_setting: Setting) -> None:
    config = randomness.RandomnessConfig(str(tiny_corpus.path), 3, 2, at_once=2, setting=tiny_setting)
    figures = randomness.measure(config)
    assert json.loads(json.dumps(figures)) == figures
    for console in randomness.CONSOLES:
        raw, paired = (figures[console][reward] for reward in randomness.REWARDS)
        assert 0 < raw["within_sd_nats"] == paired["within_sd_nats"]
        assert paired["mean_nats"] < raw["mean_nats"]
        assert list(raw["mean_se_nats"]) == ["1", "2", "4", "8", "16"]


def test_groups_share_their_control_and_differ_in_weights(tiny_corpus: Corpus, tiny_setting: Setting) -> None:
    still = randomness.RandomnessConfig(runs=2, perturbation=0.0, strength=0.0, setting=tiny_setting)
    task = Task(tiny_corpus, 16)
    falls = randomness.episode_falls(still, task, [0, 1])
    control = falls[:, :1]
    np.testing.assert_array_equal(falls, np.broadcast_to(control, falls.shape), err_msg="all runs are natural")
    assert len(np.unique(control)) == 2, "the groups differ"
    weights = randomness.group_weights(replace(still, perturbation=0.1, strength=0.5), task, 0)
    np.testing.assert_allclose(weights.sum(1), 1)
    null, influenced = weights[:, task.agent_names.index("null")], weights[:, task.agent_names.index("influence")]
    assert null[0] == 1, "the control is natural"
    constant, follows = np.split(np.arange(1, len(weights)), 2)
    assert null[1:].max() < 1
    assert influenced[follows].min() > 0.4
    assert influenced[constant].max() < 0.25
    assert len(np.unique(weights, axis=0)) == 1 + 2 * still.runs


def test_deviations_come_apart_as_they_were_put_together() -> None:
    rng = np.random.default_rng(0)
    shared, own = rng.normal(0, 0.3, (4000, 1)), rng.normal(0, 0.1, (4000, 4))
    between, within = randomness.deviations(shared + own)
    assert (between, within) == (pytest.approx(0.3, rel=0.05), pytest.approx(0.1, rel=0.05))
    mean, difference = randomness.standard_errors(0.3, 0.1, 4, "raw")
    over_groups = (shared + own).mean(1).std(ddof=1)
    assert mean == pytest.approx(over_groups / 5, rel=0.05)  # 100 runs are 25 groups
    assert difference == pytest.approx((2 * 0.01 / 100) ** 0.5)
    assert randomness.standard_errors(0.3, 0.1, 4, "paired")[0] == pytest.approx(mean * 1.25**0.5)
    alone = randomness.standard_errors(0.3, 0.1, 1, "paired")
    assert alone == (pytest.approx((0.1 * 2 / 100) ** 0.5), pytest.approx((2 * 0.1 * 2 / 100) ** 0.5))


def test_target(tiny_corpus: Corpus) -> None:
    told = target.main(target.TargetBenchConfig(tiny_corpus.path, ("quick",), turns=1, steps=1))
    (row,) = told["rows"]
    quick = PRESETS[PretrainConfig]["quick"]()
    assert isinstance(quick, PretrainConfig)
    assert row["tokens_per_step"] == quick.target.episode.batch_windows * quick.target.context
    assert 0 < row["mfu"] < 1
    assert 0 < row["console_fraction"] < 1
    assert 0 < row["optimizer_fraction"] < 1
    for way in ("ours", "trainer", "minimal"):
        assert row[f"{way}_tokens_per_s"] == pytest.approx(row["tokens_per_step"] / min(row["seconds"][way]), rel=0.1)


def test_trial_verdicts(tiny_corpus: Corpus, longer: Setting, tmp_path: Path) -> None:
    """Each scenario and policy is a stage, and the same again is read from the folder."""
    config = trial_verdicts.VerdictsConfig(
        tmp_path / "run",
        tiny_corpus.path,
        ("lift", "wrong=only:topic"),
        scenarios=2,
        trial=TrialConfig(seeds=2, windows=48, proxy=longer),
        truth_seeds=3,
    )
    found = trial_verdicts.measure(config)
    assert sum(sum(row.values()) for row in found["counts"].values()) == 4
    assert set(found["policies"]) == {"lift", "wrong"}
    stages = json.loads((tmp_path / "run" / "stages.json").read_text())
    assert set(stages) == {"lift-0", "lift-1", "wrong-0", "wrong-1"}
    one = stages["lift-1"]["result"]
    assert one["trial"]["pairs"] == 2
    assert one["trial"]["gain"]["nats"] != one["truth"]["nats"]
    del stages["wrong-1"]
    (tmp_path / "run" / "stages.json").write_text(json.dumps(stages))
    again = trial_verdicts.measure(replace(config, resume=True))
    assert again["counts"] == found["counts"]


def test_shares_of_verdicts() -> None:
    def row(truth: str, trial: str, ends: list[float]) -> dict[str, object]:
        return {"verdicts": [truth, trial], "trial": {"gain": {"ci95": ends}}, "truth": {"nats": 0.0}}

    rows = [row("harm", "harm", [-2, -1]), row("harm", "unclear", [-1, 1]), row("gain", "harm", [-2, -1])]
    found = trial_verdicts.figures([*rows, row("unclear", "unclear", [-1, 1])])
    assert found["counts"]["harm"] == {"harm": 1, "none": 0, "unclear": 1, "gain": 0}
    assert (found["harm_found"], found["gain_found"]) == (0.5, 0.0)
    assert (found["false_harm"], found["false_gain"], found["held"]) == (0.5, None, 0.5)
