"""pretraingym fit: it finds a known optimum; what users' tables have wrong is one line; the published runs."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pretraingym.experiments import __main__ as command_line
from pretraingym.experiments.analysis.statistics import rank_correlation
from pretraingym.experiments.command_line.parsing import parse
from pretraingym.experiments.commands import fit
from pretraingym.experiments.mixtures.best import best_mixture
from pretraingym.experiments.mixtures.regression import MixtureRegression, Smooth, held_out, numbered
from pretraingym.experiments.mixtures.runs import read_runs
from pretraingym.experiments.mixtures.tables import read_table
from pretraingym.lm.io.errors import InputError
from pretraingym.policies.baselines.constant import Constant
from pretraingym.policies.learners.boosted_trees import boosted_trees
from pretraingym.policies.registry import make_policy

PUBLISHED = Path(__file__).parents[4] / "shared" / "proxy_tables" / "regmix"
DOMAINS = ["web", "code", "books"]
BEST = np.array([0.55, 0.35, 0.1])  # of the made-up losses
Write = Callable[..., Path]


def rows_of(values: np.ndarray, names: list[str], mark: str = ",", decimal: str = ".") -> str:
    lines = [
        mark.join([str(row), *(f"{each:.6f}".replace(".", decimal) for each in of)]) for row, of in enumerate(values)
    ]
    return "\n".join([mark.join(["index", *names]), *lines]) + "\n"


@pytest.fixture
def runs() -> tuple[np.ndarray, np.ndarray]:
    """40 mixtures, and two losses whose mean is least at BEST."""
    rng = np.random.default_rng(0)
    mixtures = rng.dirichlet([2.0, 2.0, 1.0], 40)
    loss = 3 + ((np.sqrt(mixtures) - np.sqrt(BEST)) ** 2).sum(1, keepdims=True)
    tilt = mixtures[:, :1] - mixtures[:, 1:2]
    return mixtures, np.hstack([loss + tilt, loss - tilt])


@pytest.fixture
def tables(tmp_path: Path, runs: tuple[np.ndarray, np.ndarray]) -> tuple[Path, Path]:
    return (
        written(tmp_path / "mixtures.csv", rows_of(runs[0], DOMAINS)),
        written(tmp_path / "losses.csv", rows_of(runs[1], ["qa", "prose"])),
    )


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def changed(path: Path, old: str, new: str) -> Path:
    text = path.read_text()
    assert old in text
    return written(path, text.replace(old, new, 1))


def run(*words: object) -> dict[str, Any]:
    main, config = parse(["fit", *map(str, words)])
    return main(config)


def refusal(*words: object) -> str:
    with pytest.raises(InputError) as refused:
        run(*words, "--folder", "never")
    line = str(refused.value)
    assert "\n" not in line
    assert not Path("never").exists()
    return line


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer trees and mixtures."""
    monkeypatch.setattr("pretraingym.experiments.mixtures.best.SIMULATED", 2000)
    few = lambda **settings: boosted_trees(**{**settings, "max_iter": 60})  # noqa: E731
    monkeypatch.setattr("pretraingym.experiments.mixtures.regression.boosted_trees", few)


@pytest.mark.usefixtures("quick")
def test_it_finds_the_best_mixture(tables: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(*tables, "--folder", tmp_path / "out", "--resamples", 20)
    printed = capsys.readouterr().out
    assert "minimised: the mean of 2 columns: qa, prose" in printed
    assert "40 runs, joined on 'index'" in printed
    assert found["spearman"] > 0.9
    assert f"{found['spearman']:.4f}" in printed
    results = json.loads(Path(found["results"]).read_text())
    shares = {name: column["best"] for name, column in results["columns"].items()}
    assert list(shares.values()) == pytest.approx(BEST, abs=0.08)
    assert sum(shares.values()) == pytest.approx(1)
    for column in results["columns"].values():
        assert column["low"] <= column["high"]
    assert results["gain"] == pytest.approx(results["mean_loss"] - results["best_loss"])
    assert results["gain_ci95"][0] < results["gain"] < results["gain_ci95"][1]
    policy = make_policy(results["policy"])
    assert isinstance(policy, Constant)
    assert policy.strength == 1.0
    assert policy.shares == pytest.approx(shares, abs=1e-4)
    assert results["policy"] in printed
    assert results["limits"] in printed
    limits = [float(word.rpartition(":")[2]) for word in results["limits"].split()[1:]]
    assert 0.99 < sum(limits) <= 1


@pytest.mark.usefixtures("quick")
def test_runs_of_one_mixture_are_held_out_together(tables: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses that are of chance alone, but the same for a mixture's two runs, cannot be ranked."""
    rng = np.random.default_rng(1)
    mixtures, chance = np.repeat(rng.dirichlet([1.0] * 3, 60), 2, 0), np.repeat(rng.normal(size=60), 2)
    assert numbered(mixtures[::-1]).tolist() == np.repeat(np.arange(60), 2).tolist()
    shuffled = rng.permutation(120)
    scores = held_out(mixtures[shuffled], chance[shuffled], 0)
    assert abs(rank_correlation(scores.predicted_N, chance[shuffled])) < 0.4
    drawn, runs = list[np.ndarray](), replace(read_runs(*tables), mixtures=mixtures, loss_N=chance)
    regression = MixtureRegression().fit(mixtures, chance)
    fitted = MixtureRegression.fit
    monkeypatch.setattr(MixtureRegression, "fit", lambda *given: (drawn.append(given[3]), fitted(*given))[1])
    best_mixture(runs, regression, 2, rng)
    for count_N in drawn:
        np.testing.assert_array_equal(count_N[::2], count_N[1::2])
        assert count_N.sum() == 120


@pytest.mark.usefixtures("quick")
def test_long_names_are_cut_and_numbers_are_not(
    tables: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = tables[0].read_text()
    for domain in DOMAINS:
        text = text.replace(domain, f"a_column_of_the_mixtures_with_a_long_name_{domain}", 1)
    tables[0].write_text(text)
    found = run(*tables, "--folder", tmp_path / "out", "--resamples", 20)
    printed = capsys.readouterr().out
    for column in json.loads(Path(found["results"]).read_text())["columns"].values():
        assert f"{column['best']:.3f}" in printed
        assert f"{column['low']:.3f} to {column['high']:.3f}" in printed


@pytest.mark.usefixtures("quick")
def test_one_loss_of_two_and_other_runs(tables: Any, tmp_path: Path, runs: Any) -> None:
    """Of qa alone, less web and more code is best. The test has the columns in another order, and no ids."""
    lines = [",".join(map(str, row[::-1])) for row in runs[0][:10]]
    other = written(tmp_path / "other.csv", "\n".join([",".join(DOMAINS[::-1]), *lines]))
    losses = written(tmp_path / "other-losses.csv", "qa\n" + "\n".join(map(str, runs[1][:10, 0])))
    test = ["--test", other, losses]
    found = run(*tables, "--loss", "qa", *test, "--folder", tmp_path / "out", "--resamples", 20)
    assert found["loss"] == ["qa"]
    ((name, tested),) = found["test"].items()
    assert name == f"{other} {losses}"
    assert tested["runs"] == 10
    assert tested["spearman"] > 0.9
    columns = json.loads((tmp_path / "out" / "results.json").read_text())["columns"]
    assert columns["web"]["best"] < 0.35


@pytest.mark.usefixtures("quick")
def test_the_same_seed_gives_the_same(tables: Any, tmp_path: Path) -> None:
    first, second = (run(*tables, "--resamples", 20, "--folder", tmp_path / name) for name in ("a", "b"))
    assert first | {"results": ""} == second | {"results": ""}


def test_whatever_a_file_looks_like_the_runs_are_the_same(tables: Any, runs: Any, tmp_path: Path) -> None:
    """A byte order mark, percent, semicolons with decimal commas, tabs, another order, ids written otherwise."""
    plain = read_runs(*tables)
    percent = written(tmp_path / "percent.csv", "\ufeff" + rows_of(100 * runs[0], DOMAINS))
    german = written(tmp_path / "german.csv", rows_of(runs[0], DOMAINS, ";", ","))
    tabs = written(tmp_path / "tabs.csv", rows_of(runs[0], DOMAINS, "\t"))
    header, *lines = tables[1].read_text().splitlines()
    turned = [line.replace(",", ".0,", 1) for line in lines[::-1]]
    losses = written(tmp_path / "turned.csv", "\n".join(["Index" + header.removeprefix("index"), *turned]))
    for path in (percent, german, tabs):
        again = read_runs(path, losses)
        assert again.domains == DOMAINS
        assert again.mixtures == pytest.approx(plain.mixtures, abs=1e-6)
        assert again.loss_N.tolist() == plain.loss_N.tolist()


def test_columns_that_are_no_shares_are_left_out_by_name(tables: Any, runs: Any, tmp_path: Path) -> None:
    extra = np.hstack([runs[0], np.arange(40)[:, None]])
    path = written(tmp_path / "extra.csv", rows_of(extra, [*DOMAINS, "seed"]))
    assert "name the columns of shares with --domains" in refusal(path, tables[1])
    assert read_runs(path, tables[1], DOMAINS).mixtures.sum(1) == pytest.approx(1)


FAULTS = [  # (of the mixtures or the losses, a change, what is said)
    (0, lambda text: "", "has no rows, expected a header and a row for each run"),
    (1, lambda text: text.splitlines()[0], "has no rows, expected"),
    (0, lambda text: "\n".join(text.splitlines()[:8]), "33 of 40 ids of"),
    (0, lambda text: text.replace("\n3,", "\n2,"), "row 4, line 5: index is '2', which"),
    (0, lambda text: text.replace("\n3,", "\nthree,"), "1 of 40 ids of"),
    (0, lambda text: text.replace("\n3,0", "\n3,-0"), "row 4, line 5: 'web' is '-0."),
    (0, lambda text: text.replace("\n3,0", "\n3,nan0"), "row 4, line 5: 'web' is 'nan0."),
    (1, lambda text: cell(text, 3, "nan"), "row 4, line 5: 'qa' is 'nan', expected a number; take out runs that"),
    (1, lambda text: cell(text, 3, ""), "row 4, line 5: 'qa' is '', expected a number"),
    (1, lambda text: cell(text, 3, "inf"), "row 4, line 5: 'qa' is 'inf', expected a number"),
    (1, lambda text: cell(text, 3, "good"), "row 4, line 5: 'qa' is 'good', expected a number"),
    (1, lambda text: text + "1,2\n", "row 41, line 42 (2 columns, the header names 3)"),
    (0, lambda text: cell(text, 3, "0.9"), "row 4, line 5: the shares sum to "),
    (0, lambda text: text.replace("web", "code"), "has two columns called 'code'; rename one"),
    (0, lambda text: column(text, "games", "0"), "'games' is 0 in every run, which tells nothing of it; take"),
    (1, lambda text: column(text, "steps", "900"), "'steps' is 900 in every run, expected a loss"),
    (0, lambda text: text.replace("index,", "note,"), "the shares sum to "),
    (0, lambda text: column(text, "", ""), "has a column without a name among"),
    (0, lambda text: "0.5,0.25,0.125\n0.5,0.25,0.25\n", "has the numbers '0.5', '0.25', '0.125' where names are"),
]  # fmt: skip


def cell(text: str, row: int, new: str) -> str:
    lines = text.splitlines()
    first, _, *rest = lines[row + 1].split(",")
    return "\n".join([*lines[: row + 1], ",".join([first, new, *rest]), *lines[row + 2 :]])


def column(text: str, name: str, value: str) -> str:
    header, *lines = text.splitlines()
    return "\n".join([f"{header},{name}", *(f"{line},{value}" for line in lines)])


@pytest.mark.parametrize(("which", "change", "said"), FAULTS)
def test_what_is_wrong_with_a_table_is_one_line(tables: Any, which: int, change: Any, said: str) -> None:
    tables[which].write_text(change(tables[which].read_text()))
    assert said in refusal(*tables)


def test_what_is_wrong_with_the_files_given_is_one_line(tables: Any, runs: Any, tmp_path: Path) -> None:
    mixtures, losses = tables
    few = [
        written(tmp_path / f"few-{n}.csv", rows_of(runs[n][:12], names))
        for n, names in ((0, DOMAINS), (1, ["qa", "prose"]))
    ]
    text = written(tmp_path / "notes.txt", "web,code\n")
    short = written(tmp_path / "short.csv", "qa\n" + "3.5\n" * 39)
    for words, said in [
        ((mixtures, mixtures), "is given for the mixtures and for the losses, expected two files"),
        ((mixtures, tmp_path / "none.csv"), "none.csv cannot be read (No such file or directory)"),
        ((text, losses), "notes.txt is no table, expected a .csv or .tsv file"),
        (few, "has 12 different mixtures of 3 shares, expected at least 20: run more"),
        ((mixtures, short), "has 40 rows and"),
        ((mixtures, losses, "--loss", "qua"), "has no column 'qua'; did you mean 'qa'? known: prose, qa"),
        ((mixtures, losses, "--domains", "web", "cod"), "has no column 'cod'; did you mean 'code'?"),
        ((mixtures, losses, "--domains", "web"), "has shares of 'web', expected two columns or more"),
        ((mixtures, losses, "--loss", "qa", "qa"), "--loss names 'qa' twice"),
        ((mixtures, losses, "--test", mixtures), "--test has 1 files, expected pairs: MIXTURES LOSSES"),
        ((mixtures, losses, "--test", mixtures, losses), "are the runs to fit on, expected others"),
        ((mixtures, losses, "--resamples", 3), "resamples is 3, expected at least 20"),
    ]:
        assert said in refusal(*words), said


def test_a_refusal_is_exit_code_2(
    tables: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("warnings.showwarning", lambda *_: None)
    monkeypatch.setattr("sys.argv", ["pretraingym", "fit", str(tables[0]), str(tables[0])])
    with pytest.raises(SystemExit) as end:
        command_line.main()
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith(f"pretraingym: {tables[0]} is given for the mixtures and for the losses")


def test_names_that_no_policy_can_have() -> None:
    assert fit.constant_policy(["a=b", "c"], np.array([0.5, 0.5])) is None
    assert fit.constant_policy(["natural", "c"], np.array([0.75, 0.25])) == "constant:strength=0.2500,c=0.25000"
    assert fit.limit_flags(["a b", "c"], np.array([0.6666, 0.0004])) == "--share 'domain=a b:0.666'"


def test_what_is_printed_can_be_pasted() -> None:
    many = [f"d{n}" for n in range(1500)]
    assert (limits := fit.limit_flags(many, np.full(1500, 1 / 1500))) is None
    first, second = fit._uses(fit.constant_policy(["a b", "c"], np.array([0.75, 0.25])), limits)
    assert first.endswith(": no limits can be written, since every share is below 0.001")
    assert second.endswith(": 'constant:strength=1.0000,a b=0.75000,c=0.25000'")


def test_underscores_are_in_no_number(tmp_path: Path) -> None:
    table = read_table(written(tmp_path / "ids.csv", "run,1_0\n1_10,0.5\n11_0,0_1\n"))
    assert table.ids() == ["1_10", "11_0"]
    with pytest.raises(InputError, match=r"row 2, line 3: '1_0' is '0_1', expected a number"):
        table.numbers(["1_0"], "a number")


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published runs are not beside the checkout")
def test_the_published_runs_are_ranked_as_well_as_by_their_own_trees() -> None:
    """Bars: LightGBM fitted to the same 512 runs (experiments/results/fit.md)."""
    loss = ["metric/the_pile_pile_cc_val_loss"]

    def published(what: str) -> Any:
        return read_runs(PUBLISHED / f"{what}.csv", PUBLISHED / f"{what.replace('mixture', 'pile_loss')}.csv", (), loss)

    runs = published("train_mixture_1m")
    regression = MixtureRegression().fit(runs.mixtures, runs.loss_N)
    for size, least in (("1m", 0.9904), ("60m", 0.9860), ("1B", 0.9617)):
        test = published(f"test_mixture_{size}")
        assert test.domains == runs.domains
        assert rank_correlation(regression.predict(test.mixtures), test.loss_N) >= least, size


def test_many_runs_are_fitted_in_part_and_predicted_in_blocks(runs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mixtures, loss_N, count_N = runs[0], runs[1].mean(1), np.ones(40)
    whole = Smooth()
    whole.fit(mixtures, loss_N, count_N)
    monkeypatch.setattr("pretraingym.experiments.mixtures.regression.MOST_AT_ONCE", 41)
    once = whole.predict(mixtures)
    assert once == pytest.approx(loss_N, abs=0.01)
    monkeypatch.setattr("pretraingym.experiments.mixtures.regression.MOST_FITTED", 30)
    predicted = []
    for seed in (1, 1, 2):
        part = Smooth(whole.shape, seed)
        part.fit(mixtures, loss_N, count_N)
        assert part._fitted.shape == (30, 3)
        predicted.append(part.predict(mixtures))
    assert rank_correlation(predicted[0], loss_N) > 0.9
    assert (predicted[0] == predicted[1]).all()
    assert (predicted[0] != predicted[2]).any()
