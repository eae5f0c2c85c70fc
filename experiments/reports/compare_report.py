"""report.html of a comparison: who gains how much over natural, on which scenarios, and what it costs."""

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from ..analysis.bootstrap import FEW_CLUSTERS, LEAST_CLUSTERS
from ..analysis.harm import HARM_NATS
from ..analysis.policy_table import PolicyRow, gain_cells, kind_cells, read_table
from ..analysis.scenario_table import FLOPS_RATIOS, TARGETS
from ..analysis.statistics import NATURAL, NATURAL_ANEW, signed
from .figures import INK, PALETTE, STYLE, WIDTH, gains_figure, inline_svg
from .page import figure, html_table, write_page

Scenarios = list[dict[str, Any]]  # number; cluster: the main reference task; null: what makes natural right there


def write_compare_report(folder: Path, results: dict[str, Any]) -> Path:
    """Write report.html beside results.json, of what that holds."""
    table, scenarios = read_table(results["policies"], "results.json.policies"), results["scenarios"]
    policies = {name: row for name, row in table.items() if row.policies is not None}
    best, row = next(iter(policies.items()))
    title = f"{len(policies)} policies on {len(scenarios)} scenarios"
    gains = {rival: gain for rival, gain in {NATURAL: row.gain, **(row.over or {})}.items() if gain}
    clusters = len({about["cluster"] for about in scenarios})
    caption = (
        "Test loss by the scenario's weighting of its reference tasks, paired by scenario and seed. Intervals: "
        f"bootstrap over {clusters} main reference tasks, the scenarios of each, and seeds. Grey: the interval "
        "includes 0." + (f" {FEW_CLUSTERS.format(clusters)}." if clusters < LEAST_CLUSTERS else "")
    )
    parts = [
        f"<h1>{escape(title)}</h1>",
        figure(gains_figure(best, gains), caption),
        *_tables(table, best),
    ]
    if row.all_in is not None:
        caption = (
            "FLOPs that natural needs for the same mean loss over those that the policy's runs need, learning, "
            "labels, probes and evaluations: by the number of target runs, and by how many times a proxy's training a "
            "target's costs (the lines), at the speed-up seen here. Above 1 the console pays."
        )
        parts += ["<h2>What it costs, all in</h2>", figure(_all_in_figure(best, row.all_in), caption)]
    parts += ["<h2>By scenario</h2>", _scenarios(table, scenarios)]
    return write_page(folder / "report.html", title, "\n".join(parts))


def _tables(table: dict[str, PolicyRow], best: str) -> Iterator[str]:
    """The results over all scenarios, what their columns mean, and the results by kind of scenario."""
    yield "<h2>Results</h2>"
    yield html_table(*gain_cells(table), best)
    told = (
        f"Nats per token over natural, whose mean test loss is {table[NATURAL].test_loss_mean:.3f}. Gain: on the test "
        "text. Harmed: share of the scenarios in which the policy is worse than natural by more than "
        f"{HARM_NATS:g}, with Wilson's 95% interval, which takes scenarios for independent. Worst tenth: mean gain of "
        "the tenth of the scenarios where it is lowest. Validation gain: on the text from which the policy is "
        "steered; over-fit: by how much it is above the gain on the test text."
    )
    if NATURAL_ANEW in table:
        told += (
            f" {NATURAL_ANEW.capitalize()}: natural once more on the same pools, from other initial weights and draws, "
            "which is what chance alone gives; on other validation windows too, so no gain is told there."
        )
    yield f"<p>{escape(told)}</p>"
    for title, cells in kind_cells(table).items():
        yield f"<h3>{escape(title)}</h3>"
        yield html_table(*cells, best)


def _scenarios(table: dict[str, PolicyRow], scenarios: Scenarios) -> str:
    gains = {name: row.gain_by_scenario for name, row in table.items() if row.gain_by_scenario is not None}
    rows = [
        [_scenario(about), *(signed(each[index]) for each in gains.values())] for index, about in enumerate(scenarios)
    ]
    return html_table(["scenario", *gains], rows, None)


def _scenario(about: dict[str, Any]) -> str:
    return f"{about['number']}: mostly {about['cluster']}" + (f", {about['null']}" if about["null"] else "")


def _all_in_figure(name: str, curves: dict[str, tuple[float, ...]]) -> str:
    with matplotlib.rc_context(STYLE):
        drawn = Figure(figsize=(WIDTH, 3.0), layout="constrained")
        axes = drawn.add_subplot()
        axes.axhline(1, color=INK, linewidth=1)
        for ratio, colour in zip(FLOPS_RATIOS, PALETTE.values(), strict=False):
            axes.plot(TARGETS, curves[str(ratio)], color=colour, marker="o", markersize=3, label=f"{ratio:,} times")
        axes.set(xscale="log", yscale="log", xlabel="target runs that the policy drives", ylabel="all-in ratio")
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1.01, 0.5))  # as the lines lie
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_minor_formatter("")
            axis.set_major_formatter("{x:g}")  # the default writes formulas, which the style leaves as text
    told = "; ".join(f"targets {ratio} times a proxy: {list(curves[str(ratio)])}" for ratio in FLOPS_RATIOS)
    return inline_svg(drawn, "all-in", f"All-in ratio of {name} at {TARGETS} target runs. {told}.")
