"""report.html of a finished quickstart run: its results, figures, costs and configuration on one page."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from ..analysis.statistics import NATURAL, Gain
from .figures import curves_figure, gains_figure, ladder_figure, learning_figure, weights_figure
from .page import duration, figure, html_table, interval, number, signed, write_page
from .run_record import RunRecord

OUTSIDE_GOAL = 0.25  # of an interval's time, at most, goes to anything but training


def write_report(run_folder: Path) -> Path:
    """Write report.html into a finished run's folder and return its path. Sections without data are left out."""
    record = RunRecord.read(run_folder)
    sections = (_head, _verdict, _table, _curves, _weights, _drawn, _learning, _time, _left_out, _again)
    body = "\n".join(filter(None, (section(record) for section in sections)))
    return write_page(run_folder / "report.html", _title(record), body)


def verdict(learned: str, gains: Mapping[str, Gain], seeds: int) -> str:
    """What the numbers allow one to say of the learned policy, in two or three sentences."""
    sentences = []
    if NATURAL in gains:
        gain = gains[NATURAL]
        side = "below" if gain.nats >= 0 else "above"
        told = f", 95% interval of the gain {interval(gain)}" if gain.ci95 else ""
        runs = f"mean of {seeds} seeds{told}" if seeds > 1 else "one seed"
        sentences.append(f"{learned} ended {abs(gain.nats):.3f} nats {side} natural ({runs}).")
    if seeds < 2:
        return " ".join([*sentences, "One seed gives no interval, so this run decides nothing."])
    named = {kind: [name for name, gain in gains.items() if gain.verdict == kind] for kind in _SAID}
    return " ".join([*sentences, *(_SAID[kind].format(_list(names)) for kind, names in named.items() if names)])


_SAID = {
    "better": "It is better than {}: the interval excludes 0.",
    "worse": "It is worse than {}: the interval excludes 0.",
    "undecided": "Against {} the interval includes 0: this run does not tell which is better.",
}


def _title(record: RunRecord) -> str:
    return f"{record.learned} drives a target" if record.learned else f"{', '.join(record.policies)} on a target"


def _head(record: RunRecord) -> str:
    results = record.results
    target, proxy, episodes = (results.get(key) for key in ("target_params", "proxy_params", "episodes"))
    facts = {
        "target": f"{target:,} parameters" if target else None,
        "proxies": f"{proxy:,} parameters" if proxy else None,
        "ratio": f"{target / proxy:.1f} times" if target and proxy else None,
        "proxy episodes": f"{episodes:,}" if episodes else None,
        "target seeds": str(record.seeds) if record.seeds else None,
        "reference tasks": ", ".join(record.tasks) or None,
        "wall time": duration(results.get("wall_s")),
        "peak memory": f"{results['peak_rss_mib']:,.0f} MiB" if results.get("peak_rss_mib") else None,
    }
    terms = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in facts.items() if v)
    return f'<h1>{escape(_title(record))}</h1>\n<dl class="facts">{terms}</dl>'


def _verdict(record: RunRecord) -> str:
    gains = record.gains()
    if not gains or record.learned is None:
        return ""
    caption = (
        "Test loss of the finished targets, by the target's weighting of the reference tasks, paired by seed: both "
        "sides of a pair share initial weights and random numbers. Student's t over seeds, each rival by itself. Grey: "
        "the interval includes 0."
    )
    said = escape(verdict(record.learned, gains, record.seeds))
    return f'<p class="verdict">{said}</p>\n' + figure(gains_figure(record.learned, gains), caption)


def _table(record: RunRecord) -> str:
    tasks = list(next(iter(record.table.values())).test_loss_by_task or {})
    end = ["bits a byte", "gain over natural", "95% interval", "speed-up"]
    head = ["policy", "test loss", "sd over seeds", *tasks, *end]
    rows = []
    for name, row in record.table.items():
        by_task = [number((row.test_loss_by_task or {}).get(task)) for task in tasks]
        cells = [number(row.test_loss_mean), number(row.test_loss_sd), *by_task, number(row.test_bits_per_byte)]
        gain = [signed(row.gain_nats), interval(row.gain), str(row.speedup or "–")]
        rows.append([name, *cells, *(["–", "–", "1"] if name == NATURAL else gain)])
    foot = (
        "Losses in nats per token on the test parts; the lowest comes first. Speed-up: the tokens that complete "
        "natural runs, each with its own learning-rate decay, need for the policy's final loss, over the policy's own "
        "tokens; ≥ and ≤ mark losses beyond the longest and the shortest of those runs. " + _cost(record)
    )
    section = f"<h2>Results</h2>\n{html_table(head, rows, record.learned)}\n<p class='foot'>{escape(foot)}</p>"
    if record.metrics.get("natural-ladder") and NATURAL in record.table:
        caption = "Where the speed-up is read: how far to the right natural's line falls to a policy's loss."
        section += "\n" + figure(ladder_figure(record), caption)
    return section


def _cost(record: RunRecord) -> str:
    """What the learning cost, and after how many target runs the tokens it saves have paid for it."""
    cost = record.results.get("learning_cost_in_target_runs")
    if cost is None or record.learned is None:
        return "What it cost to learn the policy is not charged here."
    said = f"Learning the policy cost the compute of {cost:.0f} target runs, which the speed-up does not charge; "
    fast = record.table[record.learned].speedup
    saved = fast.factor - 1 if fast else 0
    return said + (f"it is paid back after {cost / saved:.0f} runs." if saved > 0 else "it is not paid back.")


def _curves(record: RunRecord) -> str:
    if not record.tasks:
        return ""
    caption = (
        "Mean over seeds; the band is one standard deviation. Gains are paired by seed. Validation parts, which "
        "steer; on a running average of the weights, but for the last point, which is on the weights themselves."
    )
    return "<h2>Loss against tokens</h2>\n" + figure(curves_figure(record), caption)


def _weights(record: RunRecord) -> str:
    if not record.metrics.get("target"):
        return ""
    first = record.learned or record.policies[0]
    parts = ["<h2>Console weights over training</h2>"]
    caption = "The share of each agent in the mixed score, mean over seeds. Weight on null is weight on no selection."
    parts.append(figure(weights_figure(record, [first], "weights", 1, 3.0), caption))
    rest = [name for name in record.policies if name not in (first, NATURAL)]
    if rest:
        caption = "The other policies, drawn in the same way. Natural, all weight on null, is left out."
        parts.append(figure(weights_figure(record, rest, "rivals", min(3, len(rest)), 1.9), caption))
    return "\n".join(parts)


def _drawn(record: RunRecord) -> str:
    """What the best policy's runs were trained on; beside it natural's, where it ran."""
    if not record.metrics.get("target"):
        return ""
    first = record.learned or record.policies[0]
    drawn = record.drawn(first)
    if not drawn:
        return ""
    natural = record.drawn(NATURAL) if NATURAL in record.policies else {}
    rows = []
    for label, uses in drawn.items():
        others = natural.get(label, [{}] * len(uses))
        for use, other in zip(uses, others, strict=True):
            name = use["category"] if "category" in use else f"{use['others']:,} others"
            share = f"{other['share']:.1%}" if other else "–"
            rows.append([label, name, f"{use['tokens']:,.0f}", f"{use['share']:.1%}", share, number(use["epochs"])])
    head = ["label", "category", "tokens drawn", "share", "share under natural", "epochs"]
    foot = (
        f"What {first} drew by the end, mean over seeds. Epochs: tokens drawn over the category's tokens in the "
        "corpus. The largest categories of each label are shown."
    )
    table = f"{html_table(head, rows, None)}\n<p class='foot'>{escape(foot)}</p>"
    return f"<h2>What was drawn</h2>\n<details><summary>Tokens and epochs by category</summary>{table}</details>"


def _learning(record: RunRecord) -> str:
    if not record.metrics.get("learn"):
        return ""
    caption = "Training scenarios differ from update to update, and so does what can be gained in them."
    return "<h2>Learning on proxies</h2>\n" + figure(learning_figure(record), caption)


def _time(record: RunRecord) -> str:
    parts = ["<h2>Time</h2>"]
    stages = record.results.get("stages_s", {})
    if stages:
        parts.append(_bars("stage", stages))
    for where, seconds in record.results.get("profile", {}).items():
        total = sum(seconds.values())
        if total > 0 and "train" in seconds:
            outside = 1 - seconds["train"] / total
            met = "within" if outside <= OUTSIDE_GOAL else "above"
            said = f"Intervals of the {where}: {outside:.0%} of the time is outside training"
            parts += [
                f"<p>{escape(said)}, {met} the {OUTSIDE_GOAL:.0%} allowed.</p>",
                _bars("part of an interval", seconds),
            ]
    return "\n".join(parts) if len(parts) > 1 else ""


def _left_out(record: RunRecord) -> str:
    if record.learned is None:
        return ""
    points = (
        "best-static, the best constant weights searched at the learned policy's own cost, is not among the rivals: it "
        "joins in the full comparison.",
        "One target scenario, one corpus and one model size were run; the intervals cover seeds alone, neither other "
        "corpora nor a policy learned again.",
        "Validation losses steer the policies; the table's are from test parts that no policy saw.",
    )
    return "<h2>What is not compared</h2>\n<ul>" + "".join(f"<li>{escape(point)}</li>" for point in points) + "</ul>"


def _again(record: RunRecord) -> str:
    parts = ["<h2>To run it again</h2>"]
    if command := record.results.get("command"):
        parts.append(f"<pre>{escape(command)}</pre>")
    config = escape(json.dumps(record.config, indent=2))
    parts.append(f"<details><summary>Configuration</summary><pre>{config}</pre></details>")
    if versions := record.results.get("versions"):
        listed = escape("\n".join(f"{name} {version}" for name, version in versions.items()))
        parts.append(f"<details><summary>Versions</summary><pre>{listed}</pre></details>")
    return "\n".join(parts)


def _bars(what: str, seconds: Mapping[str, float]) -> str:
    """A table of seconds, each with its share of the sum as a bar."""
    total = sum(seconds.values()) or 1.0
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{value:,.1f}</td><td>{value / total:.0%}</td>'
        f'<td class="bar" aria-hidden="true"><i style="width:{100 * value / total:.1f}%"></i></td></tr>\n'
        for name, value in seconds.items()
    )
    titles = f'<th scope="col">{escape(what)}</th><th scope="col">seconds</th><th scope="col">share</th><td></td>'
    return f'<div class="scroll"><table>\n<thead><tr>{titles}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>'


def _list(names: Sequence[str]) -> str:
    """["a", "b", "c"] -> "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
