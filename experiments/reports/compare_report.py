"""report.html of a comparison: who gains how much over natural, on which scenarios, and what it costs."""

from html import escape
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from ..analysis.bootstrap import FEW_CLUSTERS, LEAST_CLUSTERS
from ..analysis.scenario_table import FLOPS_RATIOS, TARGETS, fast_of
from ..analysis.statistics import NATURAL, Gain
from .figures import INK, PALETTE, STYLE, WIDTH, gains_figure, inline_svg
from .page import figure, html_table, number, signed, write_page

Results = dict[str, Any]


def write_compare_report(folder: Path, results: Results) -> Path:
    """Write report.html beside results.json."""
    names = _order(results)
    best = names[0] if names[0] != NATURAL else names[1]
    title = f"{len(names) - 1} policies on {len(results['scenarios'])} scenarios"
    gains = {NATURAL: _gain(results["policies"][best]["gain_nats_and_ci95"])}
    gains |= {rival: _gain(value) for rival, value in results["policies"][best]["over"].items()}
    clusters = len({about["cluster"] for about in results["scenarios"]})
    caption = (
        "Test loss by the scenario's weighting of its reference tasks, paired by scenario and seed. Intervals: "
        f"bootstrap over {clusters} main reference tasks, the scenarios of each, and seeds. Grey: the interval "
        "includes 0." + (f" {FEW_CLUSTERS.format(clusters)}." if clusters < LEAST_CLUSTERS else "")
    )
    parts = [f"<h1>{escape(title)}</h1>", figure(gains_figure(best, gains), caption), _table(results, names)]
    if "all_in" in results["policies"][best]:
        caption = (
            "FLOPs that natural needs for the same mean loss over those that the policy's runs need, learning, "
            "labels, probes and evaluations: by the number of target runs, and by how many times a proxy's training a "
            "target's costs (the lines), at the speed-up seen here. Above 1 the console pays."
        )
        parts += ["<h2>What it costs, all in</h2>", figure(_all_in_figure(results, best), caption)]
    parts += ["<h2>By scenario</h2>", _scenarios(results, names)]
    return write_page(folder / "report.html", title, "\n".join(parts))


def _order(results: Results) -> list[str]:
    table = results["policies"]
    return sorted(table, key=lambda name: table[name]["test_loss_mean"])


def _gain(value: list[float]) -> Gain:
    mean, low, high = value
    return Gain(mean, None, (low, high))


def _table(results: Results, names: list[str]) -> str:
    rows = []
    for name in names:
        row = results["policies"][name]
        if name == NATURAL:
            rows.append([name, number(row["test_loss_mean"]), *("–",) * 4])
            continue
        mean, low, high = row["gain_nats_and_ci95"]
        fast = str(fast_of(row) or "–")
        cells = [signed(mean), f"{signed(low)} to {signed(high)}", f"{row['win_rate']:.0%}", fast]
        rows.append([name, number(row["test_loss_mean"]), *cells])
    head = ["policy", "test loss", "gain over natural", "95% interval", "wins", "speed-up"]
    return "<h2>Results</h2>\n" + html_table(head, rows, names[0])


def _scenarios(results: Results, names: list[str]) -> str:
    shown = [name for name in names if name != NATURAL]
    rows = [
        [f"{about['number']}: mostly {about['cluster']}"]
        + [signed(results["policies"][name]["gain_by_scenario"][index]) for name in shown]
        for index, about in enumerate(results["scenarios"])
    ]
    return html_table(["scenario", *shown], rows, None)


def _all_in_figure(results: Results, name: str) -> str:
    curves = results["policies"][name]["all_in"]
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
    told = "; ".join(f"targets {ratio} times a proxy: {curves[str(ratio)]}" for ratio in FLOPS_RATIOS)
    return inline_svg(drawn, "all-in", f"All-in ratio of {name} at {TARGETS} target runs. {told}.")
