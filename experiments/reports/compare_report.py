"""report.html of a comparison: who gains how much over natural, on which scenarios, and what it costs."""

from html import escape
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from ..analysis.bootstrap import FEW_CLUSTERS, LEAST_CLUSTERS
from ..analysis.policy_table import PolicyRow, read_table
from ..analysis.scenario_table import FLOPS_RATIOS, TARGETS
from ..analysis.statistics import NATURAL
from .figures import INK, PALETTE, STYLE, WIDTH, gains_figure, inline_svg
from .page import figure, html_table, interval, number, signed, write_page

Scenarios = list[dict[str, Any]]  # number, and cluster: the main reference task


def write_compare_report(folder: Path, results: dict[str, Any]) -> Path:
    """Write report.html beside results.json, of what that holds."""
    table, scenarios = read_table(results["policies"], "results.json.policies"), results["scenarios"]
    best, row = next((name, row) for name, row in table.items() if name != NATURAL)
    title = f"{len(table) - 1} policies on {len(scenarios)} scenarios"
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
        _table(table),
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


def _table(table: dict[str, PolicyRow]) -> str:
    rows = []
    for name, row in table.items():
        cells = ["–"] * 4
        if row.gain is not None and row.win_rate is not None:
            cells = [signed(row.gain.nats), interval(row.gain), f"{row.win_rate:.0%}", str(row.speedup or "–")]
        rows.append([name, number(row.test_loss_mean), *cells])
    head = ["policy", "test loss", "gain over natural", "95% interval", "wins", "speed-up"]
    return "<h2>Results</h2>\n" + html_table(head, rows, next(iter(table)))


def _scenarios(table: dict[str, PolicyRow], scenarios: Scenarios) -> str:
    gains = {name: row.gain_by_scenario for name, row in table.items() if row.gain_by_scenario is not None}
    rows = [
        [f"{about['number']}: mostly {about['cluster']}", *(signed(each[index]) for each in gains.values())]
        for index, about in enumerate(scenarios)
    ]
    return html_table(["scenario", *gains], rows, None)


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
