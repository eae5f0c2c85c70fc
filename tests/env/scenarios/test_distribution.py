"""What scenarios are drawn from, and that each thing they vary in is drawn apart from the others."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pretraingym.env.scenarios.distribution import ALL, FEW, PLAIN, ScenarioDistribution
from pretraingym.env.scenarios.pool import make_pool, whole_corpus_scenario
from pretraingym.env.scenarios.roster import Roster
from pretraingym.env.scenarios.scenario import Scenario
from pretraingym.env.scenarios.task import Task
from pretraingym.lm.corpus.corpus import PRACTICE_WORDS, REFERENCE_PARTS, Corpus, reference_split
from pretraingym.lm.ingest.held_out import HELD_OUT_TASK
from pretraingym.lm.ingest.synthetic import DOMAINS, build_synthetic
from pretraingym.lm.io.errors import InputError

SEEDS = range(600)
EVERYTHING, LITTLE = ScenarioDistribution(nulls=0.0), ScenarioDistribution(vary=PLAIN, nulls=0.0)


@pytest.fixture(scope="module")
def task(tiny_corpus: Corpus) -> Task:
    return Task(tiny_corpus, 16)


@pytest.fixture(scope="module")
def drawn(task: Task) -> list[Scenario]:
    return [EVERYTHING.sample(task, seed) for seed in SEEDS]


def test_a_seed_is_a_scenario_and_what_varies_does_not_change_the_rest(task: Task, drawn: list[Scenario]) -> None:
    assert drawn[:50] == [EVERYTHING.sample(task, seed) for seed in range(50)]
    for seed in range(50):
        plain = LITTLE.sample(task, seed)
        assert plain.reference == drawn[seed].reference
        assert plain == Scenario(plain.reference, plain.pool_budgets, pool_seed=seed)
        rate = ScenarioDistribution(vary=("rate", *PLAIN), nulls=0.0).sample(task, seed)
        assert (rate.lr_scale, rate.pool_budgets) == (drawn[seed].lr_scale, plain.pool_budgets)


def test_references_and_pools(task: Task, drawn: list[Scenario]) -> None:
    single = np.mean([len(scenario.reference) == 1 for scenario in drawn])
    assert 0.4 < single < 0.6
    assert {scenario.reference[0][0] for scenario in drawn if len(scenario.reference) == 1} == set(task.reference_tasks)
    pools = np.array([LITTLE.sample(task, seed).pool_budgets for seed in SEEDS])
    assert 1.5 <= pools.min() < 2 < 80 < pools.max() <= 100


def test_only_the_references_named(task: Task, drawn: list[Scenario]) -> None:
    prose = ScenarioDistribution(references=("prose",), nulls=0.0)
    held = [prose.sample(task, seed) for seed in SEEDS[:50]]
    assert {name for scenario in held for name, _ in scenario.reference} == {"prose"}
    assert [scenario.pool_budgets for scenario in held] == [scenario.pool_budgets for scenario in drawn[:50]]
    assert EVERYTHING.reference_tasks(task) == task.reference_tasks
    with pytest.raises(InputError, match="references name 'prse'; did you mean 'prose'"):
        ScenarioDistribution(references=("prse",)).reference_tasks(task)


def test_a_random_share_is_no_reference_unless_it_is_named(tmp_path: Path) -> None:
    """Neither of scenarios nor of a real run, where there are other tasks."""
    of_two = Corpus.open(build_synthetic(tmp_path / "c", documents_per_domain=10).path)
    of_two.reference_tasks = ("prose", HELD_OUT_TASK)
    for part in REFERENCE_PARTS:
        of_two.splits[reference_split(HELD_OUT_TASK, part)] = of_two.splits[reference_split("code", part)]
    task = Task(of_two, 16, ("null", "domain"))
    assert EVERYTHING.reference_tasks(task) == ("prose",)
    assert ScenarioDistribution(references=(HELD_OUT_TASK,)).reference_tasks(task) == (HELD_OUT_TASK,)
    assert whole_corpus_scenario(task, 100, {}).reference == (("prose", 1.0),)
    assert whole_corpus_scenario(task, 100, {HELD_OUT_TASK: 2.0}).reference == ((HELD_OUT_TASK, 1.0),)


def test_practice_tasks_are_for_learning(tiny_corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenarios have them; a run leaves them out, unless they are named or all there is."""
    task = Task(tiny_corpus, 16, ("null", "domain"))
    tasks = tiny_corpus.reference_tasks
    monkeypatch.setitem(tiny_corpus.about, PRACTICE_WORDS, {tasks[0]: "some words"})
    assert EVERYTHING.reference_tasks(task) == tasks
    assert [name for name, _ in whole_corpus_scenario(task, 100, {}).reference] == list(tasks[1:])
    assert whole_corpus_scenario(task, 100, {tasks[0]: 1.0}).reference == ((tasks[0], 1.0),)
    monkeypatch.setitem(tiny_corpus.about, PRACTICE_WORDS, dict.fromkeys(tasks, "some words"))
    assert [name for name, _ in whole_corpus_scenario(task, 100, {}).reference] == list(tasks)


def test_text_of_every_kind(drawn: list[Scenario]) -> None:
    useful = np.array([scenario.useful_share for scenario in drawn])
    epochs = 1 / (useful * [scenario.pool_budgets for scenario in drawn])
    junk = np.array([scenario.junk_share for scenario in drawn])
    for name, values, low, high in (
        ("useful", useful, 0.003, 0.3),
        ("epochs", epochs, 0.3, 30),
        ("junk", junk, 0, 0.6),
    ):
        assert low <= values.min() < low + 0.1 * (high - low), name
        assert high - 0.1 * (high - low) < values.max() <= high * (1 + 1e-9), name
    assert 0.4 < np.mean(np.log(epochs) < np.log(3)) < 0.6  # log-uniform
    missing = [scenario.without for scenario in drawn if scenario.without]
    assert 0.2 < len(missing) / len(drawn) < 0.4
    assert {column for pairs in missing for column, _ in pairs} == {"domain"}


def test_agents_of_every_kind(task: Task, drawn: list[Scenario]) -> None:
    roles: Counter[str] = Counter()
    for scenario in drawn:
        tasks = [name for name, weight in scenario.reference if weight]
        here = [name.removeprefix("match-") for name in task.agent_names if name.startswith("match-")]
        here = [name for name in here if f"match-{name}" not in scenario.absent]
        roles["none" if not here else "own" if set(here) <= set(tasks) else "other"] += 1
        assert "null" not in scenario.absent
        assert not set(dict(scenario.copies)) & set(dict(scenario.noise))
    # In half of the scenarios both tasks are in play, and there is no match agent of another task.
    assert min(roles.values()) > len(drawn) / 8, roles
    for name in ("quality", "influence"):
        assert 0.08 < np.mean([name in scenario.absent for scenario in drawn]) < 0.22, name
    assert 0.08 < np.mean([bool(scenario.copies) for scenario in drawn]) < 0.3
    noise = [share for scenario in drawn for _, share in scenario.noise]
    assert 0.15 < len(noise) / len(drawn) < 0.35
    assert 0.5 <= min(noise) < 0.6 < 0.9 < max(noise) <= 1
    rates = np.array([scenario.lr_scale for scenario in drawn])
    assert 0.5 <= rates.min() < 0.6 < 1.8 < rates.max() <= 2


def test_all_of_them_can_be_run(task: Task, drawn: list[Scenario]) -> None:
    roster = Roster(task.prototypes, list(task.layout.columns), 1)
    for seed, scenario in enumerate(drawn):
        assert make_pool(task, scenario).natural_C.sum() == pytest.approx(1), scenario
        roster.begin(0, scenario, seed)
        assert roster.mask_NK[0].sum() > 1, f"{scenario} leaves null alone"
        assert Scenario.from_json(scenario.as_json()) == scenario


@pytest.mark.parametrize("vary", [("pool",), (*PLAIN, "weather")])
def test_what_scenarios_cannot_vary_in_is_refused(vary: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="expected reference, pool and any of text, agents, rate"):
        ScenarioDistribution(vary=vary)
    assert ScenarioDistribution(vary=ALL, nulls=0.0) == EVERYTHING


def test_a_split_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="split is 'secret', expected one of train, development, sealed"):
        ScenarioDistribution(split="secret")  # type: ignore[arg-type]


@pytest.mark.parametrize("reference", [(("prose", float("nan")),), (("prose", 0.5), ("prose", 0.5)), ()])
def test_a_mixture_that_is_none_is_refused(reference: tuple[tuple[str, float], ...]) -> None:
    with pytest.raises(InputError, match="expected weights that sum to 1, none below 0, of different tasks"):
        Scenario(reference, 2.0)


def test_null_scenarios_of_every_kind_that_the_corpus_allows(task: Task) -> None:
    """The tiny corpus has no held-out task, and its tasks are two domains of five: no mixture."""
    plain, mixed = ScenarioDistribution(nulls=0.0), ScenarioDistribution(nulls=0.5)
    both = [(plain.sample(task, seed), mixed.sample(task, seed)) for seed in range(200)]
    assert all(ordinary.null == "" for ordinary, _ in both)
    assert all(drawn == ordinary for ordinary, drawn in both if not drawn.null), "the others stay as they are"
    kinds = Counter(drawn.null for _, drawn in both)
    assert 70 < kinds.pop("") < 130
    assert min(kinds.values()) > 15
    assert set(kinds) == {"few", "noise", "scarce"}
    roster = Roster(task.prototypes, list(task.layout.columns), 1)
    for seed, (_, drawn) in enumerate(both):
        make_pool(task, drawn)
        roster.begin(0, drawn, seed)
        assert Scenario.from_json(drawn.as_json()) == drawn
        if drawn.null == "few":
            assert drawn.reference_documents in FEW
        if drawn.null == "noise":
            assert {share for _, share in drawn.noise} == {1.0}
            assert "influence" in drawn.absent
        if drawn.null == "scarce":
            assert drawn.pool_budgets <= 1


@pytest.fixture(scope="module")
def with_held_out(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """A task on a corpus with a reference task of natural's own text beside two others."""
    folder = tmp_path_factory.mktemp("held") / "corpus"
    built = Corpus.open(build_synthetic(folder, tasks=("prose", "code", "notes"), documents_per_domain=40).path)
    built.reference_tasks = ("prose", "code", HELD_OUT_TASK)
    for part in REFERENCE_PARTS:
        built.splits[reference_split(HELD_OUT_TASK, part)] = built.splits[reference_split("notes", part)]
    return Task(built, 16, ("null", "domain", "topic", "quality", "match-prose", "influence"))


def test_natural_is_right_where_the_reference_is_natural_text(with_held_out: Task) -> None:
    task = with_held_out
    drawn = [ScenarioDistribution(nulls=1.0).sample(task, seed) for seed in range(200)]
    by_kind = {scenario.null: scenario for scenario in drawn}
    assert set(by_kind) == {"heldout", "few", "noise", "scarce"}, "two domains of five are no mixture of all"
    assert by_kind["heldout"].reference == (("heldout", 1.0),)
    assert by_kind["heldout"].useful_share is None
    assert {len(s.reference) for s in drawn if s.null != "heldout" and "heldout" in dict(s.reference)} == set()
    assert "noise" not in {ScenarioDistribution(nulls=1.0, vary=PLAIN).sample(task, seed).null for seed in range(99)}
    fixed = ScenarioDistribution(nulls=1.0, mixture={"code": 1.0})
    assert {fixed.sample(task, seed).reference for seed in range(99)} == {(("code", 1.0),)}


def test_a_mixture_of_all_domains(tmp_path: Path) -> None:
    task = Task(build_synthetic(tmp_path / "corpus", tasks=DOMAINS[:4], documents_per_domain=40), 16)
    drawn = [ScenarioDistribution(nulls=1.0).sample(task, seed) for seed in range(60)]
    mixture = next(scenario for scenario in drawn if scenario.null == "mixture")
    assert {name for name, _ in mixture.reference} == set(DOMAINS[:4])
    assert mixture.without == (("domain", DOMAINS[4]),)
    pool = make_pool(task, mixture).natural_C
    domain_C = task.cells.labels_CA[:, list(task.layout.columns).index("domain")]
    names = task.layout.columns["domain"].names
    natural = {name: pool[domain_C == number].sum() for number, name in enumerate(names)}
    assert dict(mixture.reference) == pytest.approx({name: natural[name] for name in DOMAINS[:4]})
    few = ScenarioDistribution(nulls=1.0, references=DOMAINS[:2])
    assert {name for seed in range(99) for name, _ in few.sample(task, seed).reference} == set(DOMAINS[:2])


def test_few_are_fewer_than_there_are(task: Task) -> None:
    """24 documents a task: 12 are few, 50 are not."""
    drawn = [ScenarioDistribution(nulls=1.0).sample(task, seed) for seed in range(60)]
    assert {scenario.reference_documents for scenario in drawn if scenario.null == "few"} == {12}


def test_a_mixture_that_every_scenario_has(task: Task) -> None:
    fixed = ScenarioDistribution(mixture={"code": 1.0, "prose": 3.0})
    drawn = [fixed.sample(task, seed) for seed in range(30)]
    assert {scenario.reference for scenario in drawn} == {(("code", 0.25), ("prose", 0.75))}
    assert len({scenario.pool_budgets for scenario in drawn}) == 30
    with pytest.raises(InputError, match="references and a mixture are given, expected one of them"):
        ScenarioDistribution(references=("prose",), mixture={"code": 1.0})
    with pytest.raises(InputError, match="unknown reference task 'cod'"):
        ScenarioDistribution(mixture={"cod": 1.0}).reference_tasks(task)


def test_the_part_whose_loss_counts_is_the_distributions(task: Task) -> None:
    on_trial = ScenarioDistribution(loss_part="trial")
    assert {on_trial.sample(task, seed).loss_part for seed in range(30)} == {"trial"}
    for seed in range(30):
        scenario = on_trial.sample(task, seed)
        assert Scenario.from_json(scenario.as_json()) == scenario
        older = {key: value for key, value in scenario.as_json().items() if key != "loss_part"}
        assert Scenario.from_json(older) == ScenarioDistribution().sample(task, seed)
    with pytest.raises(InputError, match="loss_part is 'test', expected one of validation, trial"):
        ScenarioDistribution(loss_part="test")  # type: ignore[arg-type]
