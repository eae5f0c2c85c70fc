"""report.html of a made-up run, checked for what a reader must find and for what would stop it opening offline."""

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pretraingym.experiments.analysis.policy_table import table_json
from pretraingym.experiments.analysis.statistics import Gain
from pretraingym.experiments.analysis.target_table import target_table
from pretraingym.experiments.reports.report import verdict, write_report
from pretraingym.lm.io.errors import InputError

POLICIES = {"natural": 0.0, "uniform": 0.045, "paper-rule": 0.06, "agreement": 0.085, "learned-cma": 0.12}
AGENTS = ("null", "quality", "match-prose", "match-code", "domain", "topic", "influence")
INTERVALS, BUDGET = 16, 2_000_000


def loss(tokens: float, gain: float, task: str) -> float:
    return (2.1 if task == "prose" else 1.8) + 3.4 * (tokens / 40_000 + 1) ** -0.6 - gain * min(1, 3 * tokens / BUDGET)


def console(policy: str, interval: int, rng: np.random.Generator) -> dict[str, float]:
    """Made-up weights, which drift with the interval."""
    share = interval / INTERVALS
    raw = {
        "natural": [1, 0, 0, 0, 0, 0, 0],
        "uniform": [0, 1, 1, 1, 1, 1, 1],
        "paper-rule": [0, 1 + share, 1, 1, 1.2 - share, 1.5 * share + 0.5, 1],
        "agreement": [0.3, 0.5, 1 + share, 0.4, 0.7, 0.8, 0.3 + share],
        "learned-cma": [0.2 + 0.3 * (1 - share), 0.3, 1.5 + share, 0.1, 0.3, 0.4 * share, 0.6 * (1 - share)],
    }[policy]
    noisy = np.array(raw) * (1 + 0.1 * rng.random(len(raw)))
    return dict(zip(AGENTS, (noisy / noisy.sum()).tolist(), strict=True))


def drawn(tokens: int, gain: float) -> dict[str, list[dict[str, Any]]]:
    """Made-up text: the more a policy gains, the more code it draws, of a pool with a million tokens of it."""
    code = round(tokens * (0.25 + gain))
    parts = {"code": code, "prose & <notes>": (tokens - code) // 2}
    rows: list[dict[str, Any]] = [{"category": name, "tokens": count} for name, count in parts.items()]
    rows.append({"others": 1200, "tokens": tokens - sum(parts.values())})
    return {"domain": [row | {"share": row["tokens"] / tokens, "epochs": row["tokens"] / 1e6} for row in rows]}


def write_run(folder: Path, policies: dict[str, float] = POLICIES, seeds: int = 3, ladder: bool = True) -> Path:
    """A run folder as `quickstart` leaves it."""
    rng = np.random.default_rng(0)
    records: list[dict[str, Any]] = []
    for update in range(14):
        mean = 0.9 * (1 - math.exp(-update / 4)) + 0.08 * rng.normal()
        best = max([mean, *(record["return_best"] for record in records)])
        episodes = 8 * (update + 1)
        records.append(
            {"stage": "learn", "update": update, "episodes": episodes, "return_mean": mean, "return_best": best}
        )
    finals, rungs = [], []
    for seed in range(seeds):
        shared = 0.01 * rng.normal(size=INTERVALS + 1)
        for policy, gain in policies.items():
            for interval in range(1, INTERVALS + 1):
                tokens = BUDGET * interval // INTERVALS
                noise = shared[interval] + 0.006 * rng.normal()
                record = {"stage": "target", "policy": policy, "seed": seed, "interval": interval, "tokens": tokens}
                record["train_loss_nats"] = loss(tokens, 0, "prose") + noise
                record["validation_loss_nats"] = {task: loss(tokens, gain, task) + noise for task in ("prose", "code")}
                record["drawn"] = drawn(tokens, gain)
                records.append(record | {"weights": console(policy, interval, rng)})
            test = {task: loss(BUDGET, gain, task) + shared[-1] + 0.012 * rng.normal() for task in ("prose", "code")}
            finals.append(
                {
                    "stage": "target-final",
                    "policy": policy,
                    "seed": seed,
                    "tokens": BUDGET,
                    "test_loss_nats": test,
                    "test_bits_per_byte": test,
                }
            )
        for multiple in (0.5, 2, 4) if ladder else ():
            tokens = int(multiple * BUDGET)
            test = {task: loss(tokens, 0, task) for task in ("prose", "code")}
            rungs.append({"stage": "natural-ladder", "seed": seed, "tokens": tokens, "test_loss_nats": test})
    results = {
        "target_params": 1_204_480,
        "proxy_params": 131_456,
        "episodes": 112,
        "learning_cost_in_target_runs": 15.0,
        "policies": table_json(target_table(finals, rungs)),
        "stages_s": {"corpus": 81.2, "learn": 238.4, "targets": 187.0, "natural ladder": 61.3},
        "profile": {
            "proxies": {"train": 190.1, "evaluate": 14.2, "influence": 21.0, "select": 3.2, "observe": 4.4},
            "target": {"train": 160.0, "evaluate": 30.2, "influence": 31.0, "select": 1.2, "observe": 1.4},
        },
        "wall_s": 572.3,
        "peak_rss_mib": 2210.5,
        "versions": {"python": "3.11.7", "torch": "2.13.0", "numpy": "2.4.6"},
        "command": "pretraingym quickstart --folder runs/quickstart",
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in [*records, *finals, *rungs]))
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "config.json").write_text(json.dumps({"seed": 0, "target": {"layers": 4, "hidden": 160}}))
    return folder


class Page(HTMLParser):
    """The elements, ids and visible words of a page; asserts that tags nest."""

    VOID = frozenset({"meta", "br", "path", "use"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)
        assert not self.stack

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "defs"} & set(self.stack):
            self.words += data


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(write_run(tmp_path_factory.mktemp("runs") / "quickstart")).read_text()


def test_it_tells_what_was_drawn(text: str, tmp_path: Path) -> None:
    """Of the learned policy, beside natural's: code has .25 + .12 of 2 million tokens, .25 under natural."""
    rows = re.findall(r"<tr><th[^>]*>domain</th>(.*?)</tr>", text)
    cells = [re.findall(r"<td>(.*?)</td>", row) for row in rows]
    assert cells[0] == ["code", "740,000", "37.0%", "25.0%", "0.740"]
    assert [row[0] for row in cells] == ["code", "prose &amp; &lt;notes&gt;", "1,200 others"]
    folder = write_run(tmp_path / "older")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    older = [{key: value for key, value in line.items() if key != "drawn"} for line in lines]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in older))
    assert "What was drawn" not in write_report(folder).read_text()


def test_it_opens_offline(text: str) -> None:
    page = Page(text)
    loaded = [(tag, a) for tag, a in page.elements if tag in {"script", "link", "img", "iframe"} or "src" in a]
    assert loaded == []
    links = [value for _, a in page.elements for key, value in a.items() if key.endswith("href")]
    assert [link for link in links if not str(link).startswith("#")] == []
    assert "@import" not in text
    assert text.count("<style") == 1, "a figure's own style would apply to the whole page"
    assert "<metadata" not in text
    assert [target for target in re.findall(r"url\(([^)]*)\)", text) if not target.startswith("#")] == []


def test_ids_are_unique_and_every_reference_has_its_target(text: str) -> None:
    ids = [a["id"] for _, a in Page(text).elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {
        found.strip('"') for found in re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"', text) for found in found if found
    } <= set(ids)


def test_every_figure_has_a_text_alternative(text: str) -> None:
    figures = [a for tag, a in Page(text).elements if tag == "svg"]
    alternatives = [str(attributes["aria-label"]) for attributes in figures]
    beginnings = (
        "Gain of learned-cma",
        "Test loss in nats of complete natural runs",
        "Loss against tokens",
        "Console weights over training: learned-cma",
        "Console weights over training: ",
        "Return against proxy episodes",
    )
    for alternative, beginning in zip(alternatives, beginnings, strict=True):
        assert alternative.startswith(beginning)
        assert re.search(r"\d\.\d\d", alternative), "the alternative carries numbers"
    assert {attributes["role"] for attributes in figures} == {"img"}


def test_it_says_what_came_out(text: str) -> None:
    words = Page(text).words
    for expected in (
        "learned-cma ended 0.1",
        "It is better than natural",
        "1,204,480 parameters",
        "9.2 times",
        "9 min 32 s",
        "112",
        "natural ladder",
        "Intervals of the proxies: 18%",
        "within the 25%",
        "Intervals of the target: 29%",
        "above the 25%",
        "best-static",
        "pretraingym quickstart --folder runs/quickstart",
        '"hidden": 160',
        "torch 2.13.0",
    ):
        assert expected in words, expected


def test_text_follows_the_page_and_names_no_colour_of_its_own(text: str) -> None:
    svg = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    assert set(re.findall(r"(?:fill|stroke): (#[0-9a-f]+)", svg)) <= {"#ffffff"}
    assert "DejaVu" not in svg


def test_the_same_run_gives_the_same_bytes(text: str, tmp_path: Path) -> None:
    assert write_report(write_run(tmp_path / "quickstart")).read_text() == text


def test_names_are_escaped(tmp_path: Path) -> None:
    name = 'learned-<script>alert("x")</script>&'
    folder = write_run(tmp_path)
    for path in folder.iterdir():
        path.write_text(path.read_text().replace("learned-cma", json.dumps(name)[1:-1]))
    report = write_report(folder).read_text()
    assert "<script" not in report
    assert name in Page(report).words


def test_one_seed_without_ladder_decides_nothing(tmp_path: Path) -> None:
    words = Page(write_report(write_run(tmp_path, seeds=1, ladder=False)).read_text()).words
    assert "decides nothing" in words
    assert "better than" not in words


def test_a_run_of_one_policy_has_no_verdict(tmp_path: Path) -> None:
    words = Page(write_report(write_run(tmp_path, {"agreement": 0.1}, ladder=False)).read_text()).words
    assert "agreement on a target" in words
    assert "better than" not in words


def test_the_verdict_tells_losses_and_draws_too() -> None:
    gains = {
        "natural": Gain(-0.02, 0.01, (-0.03, -0.01)),
        "agreement": Gain(0.01, 0.02, (-0.03, 0.05)),
        "uniform": Gain(0.05, 0.01, (0.04, 0.06)),
        "paper-rule": Gain(0.06, 0.01, (0.05, 0.07)),
    }
    assert verdict("learned-ppo", gains, 3) == (
        "learned-ppo ended 0.020 nats above natural (mean of 3 seeds, 95% interval of the gain −0.030 to −0.010). "
        "It is better than uniform and paper-rule: the interval excludes 0. "
        "It is worse than natural: the interval excludes 0. "
        "Against agreement the interval includes 0: this run does not tell which is better."
    )


@pytest.mark.parametrize("name", ["results.json", "metrics.jsonl", "config.json"])
def test_an_unfinished_run_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    folder = write_run(tmp_path)
    (folder / name).write_text('{"stage": ')
    with pytest.raises(InputError, match=rf"{name}.* is not JSON .*--resume"):
        write_report(folder)
    (folder / name).unlink()
    with pytest.raises(InputError, match=rf"{name} does not exist.*--resume"):
        write_report(folder)
    assert not (folder / "report.html").exists()


def test_the_cost_of_learning_is_said(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    results = json.loads((folder / "results.json").read_text())
    results["policies"]["learned-cma"]["speedup"]["factor"] = 1.5
    (folder / "results.json").write_text(json.dumps(results))
    words = Page(write_report(folder).read_text()).words
    assert "cost the compute of 15 target runs" in words
    assert "paid back after 30 runs" in words
    results["policies"]["learned-cma"]["speedup"]["factor"] = 0.9
    (folder / "results.json").write_text(json.dumps(results))
    assert "it is not paid back" in Page(write_report(folder).read_text()).words
