"""The report's figures, as SVG to be put inside a page: it takes text colour, font and palette from the page's CSS."""

import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..analysis.statistics import NATURAL, Gain
from ..analysis.target_table import natural_ladder
from .run_record import RunRecord

# Okabe and Ito's palette, which the colour-blind can tell apart. The page redefines it on a dark ground (report.css).
PALETTE = {
    "vermillion": "#d55e00", "blue": "#0072b2", "green": "#009e73", "orange": "#e69f00",
    "purple": "#cc79a7", "sky": "#56b4e9", "yellow": "#f0e442",
}  # fmt: skip
INK, RULE, MUTED = "#010101", "#020202", "#808080"  # stand for the page's text, line and secondary colours
VARIABLES = {INK: "ink", RULE: "rule", MUTED: "muted", **{code: name for name, code in PALETTE.items()}}
DASHES = ["-", (0, (6, 1.5)), (0, (3, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5, 1, 1.5))]
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "font.family": "DejaVu Sans", "font.size": 8.5, "text.color": INK, "text.parse_math": False,
    "axes.titlesize": 9, "axes.titlelocation": "left", "axes.titleweight": "bold", "axes.labelcolor": INK,
    "axes.edgecolor": RULE, "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
    "axes.grid": True, "grid.color": RULE, "grid.linewidth": 0.5, "legend.frameon": False, "lines.linewidth": 1.5,
    "xtick.color": RULE, "ytick.color": RULE, "xtick.labelcolor": INK, "ytick.labelcolor": INK,
}  # fmt: skip
WIDTH = 9.0  # inches; the page scales it to its column


def inline_svg(figure: Figure, name: str, description: str) -> str:
    """The figure as one <svg> element: the same bytes for the same data, ids that are unique on the page."""
    file = io.StringIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        figure.savefig(file, format="svg", transparent=True)
    svg = re.search(r"<svg.*</svg>", file.getvalue(), re.DOTALL)[0]  # type: ignore[index]  # no XML head
    # The metadata has the date in it, and the style would apply to the whole page.
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = svg.replace("'DejaVu Sans'", "var(--sans)")
    for code, variable in VARIABLES.items():
        svg = svg.replace(code, f"var(--{variable})")
    share = 100 * figure.get_figwidth() / WIDTH
    label = f'<svg role="img" aria-label="{escape(description)}" class="figure" style="width: {share:.0f}%"'
    return re.sub(r'<svg\b(?:\s+(?:width|height)="[^"]*")*', label, svg, count=1)


def gains_figure(learned: str, gains: Mapping[str, Gain]) -> str:
    """The learned policy's gain over each rival, with its interval."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 0.55 + 0.27 * len(gains)), layout="constrained")
        axes = figure.add_subplot()
        axes.axvline(0, color=INK, linewidth=1)
        for row, gain in enumerate(gains.values()):
            low, high = gain.ci95 or (gain.nats, gain.nats)
            colour = MUTED if gain.verdict == "undecided" else PALETTE["vermillion"]
            axes.plot([low, high], [row, row], color=colour, linewidth=2.5, solid_capstyle="butt")
            axes.plot(gain.nats, row, "o", color=colour, markersize=6)
        axes.set(yticks=range(len(gains)), yticklabels=list(gains), ylim=(len(gains) - 0.5, -0.5))
        axes.set_xlabel(f"nats that {learned} is below the rival (right of 0 is better); bar: 95% interval")
        axes.tick_params(length=0)
        axes.grid(axis="y", visible=False)
    told = [f"{name} {gain.nats:+.3f}" + _interval(gain) for name, gain in gains.items()]
    return inline_svg(figure, "gains", f"Gain of {learned} in nats over each rival: {'; '.join(told)}.")


def curves_figure(record: RunRecord) -> str:
    """Loss against tokens, and beside it the gain over natural, for each reference task; bands: one sd over seeds."""
    gains = NATURAL in record.policies
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 2.4 * len(record.tasks) + 0.4), layout="constrained")
        grid = figure.subplots(len(record.tasks), 1 + gains, squeeze=False, sharex=True)
        ends = []
        for row, task in enumerate(record.tasks):
            for policy, style in _styles(record).items():
                tokens, losses = record.curve(policy, task)
                _band(grid[row][0], tokens, losses, style, policy)
                ends.append(f"{policy} {task} {losses[:, -1].mean():.3f}")
                if gains:
                    _band(grid[row][1], tokens, record.curve(NATURAL, task)[1] - losses, style, policy)
            grid[row][0].set(title=f"{task}: validation loss", ylabel="nats per token")
            if gains:
                grid[row][1].set(title=f"{task}: gain over natural (up is better)", ylabel="nats per token")
        for axes in grid[-1]:
            _token_axis(axes)
        lines = [line for line in grid[0][0].lines if not str(line.get_label()).startswith("_")]
        figure.legend(handles=lines, loc="outside upper center", ncols=len(lines), handlelength=3)
    return inline_svg(figure, "curves", f"Loss against tokens. Validation loss at the end, in nats: {'; '.join(ends)}.")


def ladder_figure(record: RunRecord) -> str:
    """Final test loss of complete runs against their tokens: natural at several budgets, the policies at one."""
    finals = record.metrics["target-final"]
    budget = finals[0]["tokens"]
    ladder = natural_ladder(finals, record.metrics["natural-ladder"])
    losses = {name: row.test_loss_mean for name, row in record.table.items()}
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH * 0.72, 2.6), layout="constrained")
        axes = figure.add_subplot()
        for name, style in _styles(record).items():
            if name == NATURAL:
                label = "natural, complete runs"
                axes.plot(
                    [x for x, _ in ladder], [y for _, y in ladder], **style, marker="s", markersize=4, label=label
                )
            else:
                axes.axhline(losses[name], color=style["color"], linewidth=0.7, linestyle=style["linestyle"])
                axes.plot(budget, losses[name], "o", color=style["color"], markersize=6, label=name)
        axes.set(xscale="log", ylabel="test loss, nats per token", xticks=[tokens for tokens, _ in ladder])
        axes.set_xticks([], minor=True)
        _token_axis(axes, ticks=None)  # the rungs are the ticks
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    rungs = "; ".join(f"{loss:.3f} with {tokens:,.0f} tokens" for tokens, loss in ladder)
    others = "; ".join(f"{name} {loss:.3f}" for name, loss in losses.items() if name != NATURAL)
    description = f"Test loss in nats of complete natural runs: {rungs}. Policies with {budget:,} tokens: {others}."
    return inline_svg(figure, "ladder", description)


def weights_figure(record: RunRecord, policies: Sequence[str], name: str, columns: int, height: float) -> str:
    """Stacked console weights over training, mean over seeds, constant in each interval; a panel for each policy."""
    with matplotlib.rc_context(STYLE):
        count = -(-len(policies) // columns)
        figure = Figure(figsize=(WIDTH, height * count), layout="constrained")
        grid = figure.subplots(count, columns, squeeze=False, sharey=True).flat
        told = []
        for axes, policy in zip(grid, policies, strict=False):
            tokens, agents, weights_IK = record.weights(policy)
            others = [name for name in PALETTE if name != "yellow"] + ["yellow"]
            colours = [MUTED if agent == "null" else PALETTE[others[(k - 1) % 7]] for k, agent in enumerate(agents)]
            steps = np.vstack([weights_IK[:1], weights_IK]).T
            axes.stackplot([0, *tokens], steps, labels=agents, colors=colours, step="pre", linewidth=0.4, edgecolor=INK)
            axes.set(title=policy, ylim=(0, 1), xlim=(0, tokens[-1]), yticks=[0, 0.5, 1])
            _token_axis(axes, ticks=5 if columns == 1 else 3)
            last = ", ".join(f"{agent} {weight:.2f}" for agent, weight in zip(agents, weights_IK[-1], strict=True))
            told.append(f"{policy} ends at {last}")
        for axes in list(grid)[len(policies) :]:
            axes.set_visible(False)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles[::-1], labels[::-1], loc="outside right center")  # in the order of the stack
        figure.supylabel("weight", fontsize="medium")
    return inline_svg(figure, name, f"Console weights over training: {'; '.join(told)}.")


def learning_figure(record: RunRecord) -> str:
    """Return against proxy episodes: mean of each update, and the best so far."""
    updates = record.metrics["learn"]
    episodes = [update["episodes"] for update in updates]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH * 0.72, 2.3), layout="constrained")
        axes = figure.add_subplot()
        axes.axhline(0, color=INK, linewidth=1)
        mean, best = ([update[key] for update in updates] for key in ("return_mean", "return_best"))
        axes.plot(episodes, mean, color=PALETTE["vermillion"], marker="o", markersize=3, label="mean of the update")
        axes.plot(episodes, best, color=PALETTE["blue"], linestyle=DASHES[1], label="best episode so far")
        axes.set(xlabel="proxy episodes", ylabel="return (0 is natural)")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    told = f"the update's mean went from {mean[0]:+.3f} to {mean[-1]:+.3f}, the best return is {best[-1]:+.3f}"
    return inline_svg(figure, "learning", f"Return against proxy episodes: over {episodes[-1]} episodes {told}.")


def _styles(record: RunRecord) -> dict[str, dict[str, Any]]:
    """Policy -> line style: the learned one strong, natural grey, each other one a colour and dash of its own."""
    rest = zip(["blue", "green", "orange", "purple", "sky", "yellow"] * 9, DASHES[1:] * 9, strict=False)
    styles: dict[str, dict[str, Any]] = {}
    for name in sorted(record.policies, key=lambda name: (name != record.learned, name)):
        if name == record.learned:
            styles[name] = {"color": PALETTE["vermillion"], "linestyle": "-", "linewidth": 2.4, "zorder": 5}
        elif name == NATURAL:
            styles[name] = {"color": MUTED, "linestyle": "-"}
        else:
            colour, dash = next(rest)
            styles[name] = {"color": PALETTE[colour], "linestyle": dash}
    return styles


def _band(axes: Axes, tokens: np.ndarray, values_NI: np.ndarray, style: dict[str, Any], label: str) -> None:
    mean, sd = values_NI.mean(axis=0), values_NI.std(axis=0, ddof=1) if len(values_NI) > 1 else 0
    axes.fill_between(tokens, mean - sd, mean + sd, color=style["color"], alpha=0.16, linewidth=0)
    axes.plot(tokens, mean, label=label, **style)


def _token_axis(axes: Axes, ticks: int | None = 5) -> None:
    axes.set_xlabel("tokens trained on")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tokens, _: _short(tokens)))
    if ticks is not None:
        axes.xaxis.set_major_locator(MaxNLocator(ticks))


def _short(count: float) -> str:
    """1500000 -> "1.5M"."""
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= unit:
            return f"{count / unit:.3g}{name}"
    return f"{count:.3g}"


def _interval(gain: Gain) -> str:
    return f" (95% interval {gain.ci95[0]:+.3f} to {gain.ci95[1]:+.3f})" if gain.ci95 else " (one seed, no interval)"
