"""A claim's comparisons, pooled: tables over the scenarios of all corpora, the verdict on each bar, and a page."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from ...lm.io.markdown import table_cell
from ...lm.io.typed_json import to_json
from ...policies.named import group_by_shared_name
from ..analysis.harm import HARM_NATS
from ..analysis.policy_table import NULL, ORDINARY, RISKY, TITLES, PolicyRow, gain_cells, read_table, table_json
from ..analysis.scenario_table import PairedRecords, Record, kind_of, main_task, policy_rows
from ..analysis.statistics import NATURAL, NATURAL_ANEW, NONE, interval, signed
from .claim_protocol import Protocol

ALL, KNOWN, NEW = "all", "ordinary-known", "ordinary-new"  # groups of scenarios, beside the kinds
HEADINGS = {
    ALL: "All scenarios",
    **TITLES,
    KNOWN: "Other scenarios, known reference tasks",
    NEW: "Other scenarios, new reference tasks",
}
DIGITS = 4  # of what is kept
Found = Mapping[str, Mapping[str, Any]]  # corpus -> results.json of its comparison
Tables = Mapping[str, Mapping[str, PolicyRow]]  # group -> policy -> row


@dataclass(frozen=True)
class Verdict:
    """Whether a bar is met. wanted: the bar in words; found: None where no scenario tells; ci95: of what was found."""

    bar: str
    wanted: str
    found: float | None
    ci95: tuple[float, float] | None
    met: bool


def group_of(scenario: Mapping[str, Any], new_references: Iterable[str]) -> str:
    """NULL, RISKY, KNOWN or NEW: the last two are ordinary scenarios, by whether their main reference task is new."""
    kind = kind_of(scenario.get("null", ""))
    return kind if kind != ORDINARY else NEW if main_task(scenario) in new_references else KNOWN


def pool(protocol: Protocol, found: Found) -> dict[str, Any]:
    """Content of the claim's results.json. tables: group -> policies, as a comparison's results.json has them; corpora:
    each one's own table, costs and ladder, and the scenarios that are left out since natural diverged; scenarios: one
    record each, with (test, validation) gains in nats in the order of `policies`."""
    records = list(_records(found))
    names = _shared_names(protocol, found)
    tables = pooled_tables(protocol, records, names)
    verdicts = judge(protocol, tables)
    runs = PairedRecords(records, names)
    policies = [*names, *[NATURAL_ANEW] * runs.ran_anew]
    content = {
        "claim": protocol.claim,
        "met": all(verdict.met for verdict in verdicts),
        "verdicts": [to_json(verdict) for verdict in verdicts],
        "tables": {group: table_json(_short(table)) for group, table in tables.items()},
        "corpora": {name: _own(results) for name, results in found.items()},
        "policies": policies,
        "scenarios": _compact(runs, policies),
    }
    rounded: dict[str, Any] = _rounded(content)
    return rounded


def pooled_tables(protocol: Protocol, records: list[Record], names: Mapping[str, list[str]]) -> Tables:
    """The table of each group that has scenarios, of the policies that all corpora share."""
    new = {corpus.name: corpus.new_references for corpus in protocol.corpora}
    group = [group_of(record["scenario"], new[record["corpus"]]) for record in records]
    within: dict[str, Callable[[str], bool]] = {
        ALL: lambda each: True,
        NULL: lambda each: each == NULL,
        RISKY: lambda each: each == RISKY,
        ORDINARY: lambda each: each in (KNOWN, NEW),
        KNOWN: lambda each: each == KNOWN,
        NEW: lambda each: each == NEW,
    }
    own = {name: [r for r, each in zip(records, group, strict=True) if is_in(each)] for name, is_in in within.items()}
    return {name: policy_rows(PairedRecords(rows, names)) for name, rows in own.items() if rows}


def judge(protocol: Protocol, tables: Tables) -> list[Verdict]:
    """The verdict on every bar that the protocol has."""
    bars, claimed = protocol.bars, protocol.claimed
    row = tables[ALL][claimed]
    assert row.harm is not None
    assert row.over is not None
    over = row.over[protocol.rival]
    verdicts = []
    if bars.harmed_share is not None:
        harmed, wanted = row.harm.harmed_share, f"at most {bars.harmed_share:g}"
        verdicts.append(Verdict("harmed share", wanted, harmed, row.harm.harmed_ci95, harmed <= bars.harmed_share))
    if bars.worst_tenth_nats is not None:
        worst, wanted = row.harm.worst_tenth_nats, f"at least {bars.worst_tenth_nats:g}"
        verdicts.append(Verdict("worst tenth, nats", wanted, worst, None, worst >= bars.worst_tenth_nats))
    for group, kind, least in ((KNOWN, "known", bars.known_gain_nats), (NEW, "new", bars.new_gain_nats)):
        if least is not None:
            gain = tables[group][claimed].gain if group in tables else None
            bar, wanted = f"gain on ordinary scenarios of {kind} references, nats", f"at least {least:g}"
            ci95 = gain.ci95 if gain else None
            verdicts.append(
                Verdict(bar, wanted, gain.nats if gain else None, ci95, gain is not None and gain.nats >= least)
            )
    if bars.over_rival_nats is not None:
        bar, wanted = f"gain over {protocol.rival}, nats", f"low end of the interval at least {bars.over_rival_nats:g}"
        met = over.ci95 is not None and over.ci95[0] >= bars.over_rival_nats
        verdicts.append(Verdict(bar, wanted, over.nats, over.ci95, met))
    return verdicts


def claim_page(protocol: Protocol, results: Mapping[str, Any]) -> str:
    """`pool`'s results as a page in Markdown."""
    tables = {group: read_table(table, f"tables.{group}") for group, table in results["tables"].items()}
    verdicts = [
        [row["bar"], row["wanted"], _number(row["found"]), _interval(row["ci95"]), "yes" if row["met"] else "no"]
        for row in results["verdicts"]
    ]
    parts = [
        f"# Claim: {'all bars are met' if results['met'] else 'not all bars are met'}",
        protocol.claim,
        _markdown(["bar", "wanted", "found", "95% interval", "met"], verdicts),
    ]
    for group, table in tables.items():
        harm = table[protocol.claimed].harm
        parts += [f"## {HEADINGS[group]} ({harm.scenarios if harm else 0})", _markdown(*gain_cells(table))]
    over = tables[ALL][protocol.claimed].over or {}
    rows = [[rival, signed(gain.nats), interval(gain), gain.verdict] for rival, gain in over.items()]
    parts += [
        f"## {protocol.claimed} over the others",
        _markdown(["rival", "gain over it", "95% interval", "verdict"], rows),
    ]
    parts += ["## By corpus: gain, and harmed share", _markdown(*_corpus_cells(results))]
    told = (
        f"Gains are nats per token over natural on the test text, of {len(results['scenarios'])} scenarios of "
        f"{len(results['corpora'])} corpora; their intervals are a bootstrap over clusters (corpus and main reference "
        f"task), scenarios and seeds. Harmed: worse than natural by more than {HARM_NATS:g} nats, with Wilson's "
        "interval. Worst tenth: mean gain of the tenth of the scenarios where it is lowest. Validation gain: on the "
        f"text that steers; over-fit: by how much it is above the gain. {NATURAL_ANEW.capitalize()}: chance alone."
    )
    left_out = {name: own["left_out"] for name, own in results["corpora"].items() if own["left_out"]}
    if left_out:
        told += f" Left out, since natural diverged in them: {left_out}."
    return "\n\n".join([*parts, told]) + "\n"


def _records(found: Found) -> Iterator[Record]:
    """Those that the comparisons' own tables are of, with their corpus."""
    for corpus, results in found.items():
        kept = {about["number"] for about in results["scenarios"]}
        yield from ({**record, "corpus": corpus} for record in results["runs"] if record["number"] in kept)


def _shared_names(protocol: Protocol, found: Found) -> dict[str, list[str]]:
    """The policies that all corpora share, with those that share each name."""
    first = next(iter(found.values()))["runs"][0]["policies"]
    return {name: members for name, members in group_by_shared_name(list(first)).items() if name in protocol.shared}


def _short(table: Mapping[str, PolicyRow]) -> dict[str, PolicyRow]:
    """Without the gains by scenario, which the claim's records of scenarios have."""
    return {name: replace(row, gain_by_scenario=None) for name, row in table.items()}


def _own(results: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of one corpus's comparison."""
    kept = [about["number"] for about in results["scenarios"]]
    return {
        "policies": {name: {**row, "gain_by_scenario": None} for name, row in results["policies"].items()},
        "costs": results["costs"],
        "natural_ladder": results["natural_ladder"],
        "left_out": sorted({record["number"] for record in results["runs"]} - set(kept)),
    }


def _compact(runs: PairedRecords, policies: list[str]) -> list[dict[str, Any]]:
    """A short record of each scenario. The validation gain of natural from another seed is on other windows: None."""
    test = {name: runs.gains(name).mean((1, 2)) for name in policies}
    natural = runs.losses(NATURAL, "validation")
    validation = {name: (natural - runs.losses(name, "validation")).mean((1, 2)) for name in policies}
    return [
        {
            "corpus": record["corpus"],
            "number": record["number"],
            "null": record["scenario"].get("null", ""),
            "references": dict(record["scenario"]["reference"]),
            "gains": [
                [float(test[name][place]), None if name == NATURAL_ANEW else float(validation[name][place])]
                for name in policies
            ],
        }
        for place, record in enumerate(runs.firsts)
    ]


def _rounded(value: Any) -> Any:
    """JSON with its numbers rounded; what is not a number is None."""
    if isinstance(value, float):
        return round(value, DIGITS) if isfinite(value) else None
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value


def _corpus_cells(results: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """A row a policy, a column a corpus."""
    rows = []
    for name in results["policies"]:
        harm = [own["policies"][name]["harm"] for own in results["corpora"].values()]
        rows.append([name, *(f"{signed(each['gain_nats'])}, {each['harmed_share']:.0%}" for each in harm)])
    return ["policy", *results["corpora"]], rows


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(table_cell, line)) + " |" for line in lines)


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.{DIGITS}f}"


def _interval(ends: tuple[float, float] | None) -> str:
    return NONE if ends is None else f"{ends[0]:.{DIGITS}f} to {ends[1]:.{DIGITS}f}"
