"""report.html of a finished pretraining run: its test losses, and what is known of the policy's gain."""

import shlex
import sys
from html import escape
from pathlib import Path
from typing import Any

from ..analysis.statistics import NONE, Gain, interval, signed
from .page import html_table, write_page


def write_pretrain_report(folder: Path, result: dict[str, Any]) -> Path:
    """Write report.html into the run's folder and return its path. result: what the run's last line of output says."""
    sections = [_losses(result), _gain(result), _again()]
    return write_page(folder / "report.html", f"{result['policy']} on a target", "\n".join(filter(None, sections)))


def _losses(result: dict[str, Any]) -> str:
    natural, bits = result.get("beside", {}).get("test_loss_nats", {}), result["test_bits_per_byte"]
    rows = [
        [name, f"{loss:.4f}", f"{bits[name]:.4f}", *([f"{natural[name]:.4f}"] if natural else [])]
        for name, loss in result["test_loss_nats"].items()
    ]
    head = ["reference task", "test loss", "bits a byte", *(["under natural"] if natural else [])]
    title = f"<h1>{escape(result['policy'])} drives a target of {result['target_params']:,} parameters</h1>"
    return f"{title}\n<h2>Results</h2>\n{html_table(head, rows, None)}\n<p class='foot'>Nats per token, test parts.</p>"


def _gain(result: dict[str, Any]) -> str:
    if "true_gain" not in result:
        return ""
    rows, told = [], []
    if (trial := result.get("trial")) is not None:
        rows += [
            ["trial on proxies, trial part", *_cells(trial)],
            ["trial on proxies, validation part, which steers", signed(trial["validation_gain_nats"]), NONE],
        ]
        cost = f"It cost {trial['seconds']:,.0f} seconds and {trial['flops']:.2g} FLOPs"
        told += [trial["told"], f"{cost}, {trial['flops_over_the_targets']:.2%} of the target's training."]
    if (beside := result.get("beside")) is not None:
        rows.append(["natural beside it, test part", *_cells(beside)])
    told.append(result["true_gain"])
    table = html_table(["gain over natural by", "nats per token", "95% interval"], rows, None) if rows else ""
    return f"<h2>What the policy gains</h2>\n{table}\n" + "\n".join(f"<p>{escape(line)}</p>" for line in told)


def _cells(facts: dict[str, Any]) -> list[str]:
    """A gain and its interval."""
    return [signed(facts["gain_nats"]), interval(Gain(facts["gain_nats"], None, facts["gain_ci95"]))]


def _again() -> str:
    return f"<h2>To run it again</h2>\n<pre>{escape(shlex.join(['pretraingym', *sys.argv[1:]]))}</pre>"
