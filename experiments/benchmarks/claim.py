"""A claim on several corpora, tested as a protocol says that was fixed before: is every bar met, and by how much.

    python -m pretraingym.experiments.benchmarks.claim PROTOCOL.json --corpora runs/corpora --dry-run
    python -m pretraingym.experiments.benchmarks.claim PROTOCOL.json --corpora runs/corpora --folder runs/claim

`claim_protocol.py` has the protocol's fields, all of which must be there. Every corpus is one comparison, as
`pretraingym compare` runs it, in a folder of its own below --folder, with its table and report.html; then all their
scenarios are pooled, for the policies that all corpora share. Before anything runs, corpora, names and hashes are
checked; --dry-run does no more, and tells the runs and the kinds of the scenarios. Killed, the same command with
--resume goes on. Processes can share the work: each with --only CORPUS, at last one without it and with --resume, which
pools. Writes protocol.json, results.json and claim.md; prints the page; last line: one JSON object with the verdicts.
"""

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tyro

from ...lm.corpus.corpus import Corpus
from ...lm.io.errors import InputError
from ...lm.io.files import nearest, write_atomic
from ...policies.named import learned_hashes, make_policies
from ..commands import compare
from ..commands.compare import CompareConfig
from ..runs.run_folder import check_folder
from .claim_protocol import ClaimCorpus, Protocol, read_protocol
from .claim_table import KNOWN, NEW, claim_page, group_of, pool

PROTOCOL = "protocol.json"  # in the claim's folder: the protocol that its runs began with


@dataclass(frozen=True)
class ClaimConfig:
    """Where the protocol and the corpora are, and what of it to run."""

    protocol: tyro.conf.Positional[Path]
    """JSON file of the protocol"""
    corpora: Path
    """folder with a built corpus for each name in the protocol"""
    folder: Path = Path("runs/claim")
    """folder of the runs, a folder for each corpus, and of the results"""
    only: str | None = None
    """run this corpus alone, and pool nothing"""
    resume: bool = False
    """go on with the runs in the folder"""
    dry_run: bool = False
    """check everything, tell how many runs there are, and run nothing"""


def measure(config: ClaimConfig) -> dict[str, Any]:
    """Run what the folder does not have yet, pool it, and write results.json and claim.md."""
    protocol, data = read_protocol(config.protocol)
    names = [corpus.name for corpus in protocol.corpora]
    if config.only is not None and config.only not in names:
        raise InputError(f"only is '{config.only}'; {nearest(config.only, names)}")
    if (begun := config.folder / PROTOCOL).exists() and begun.read_bytes() != data:
        raise InputError(f"{config.folder} holds runs of another protocol, see its {PROTOCOL}; name another --folder")
    wanted = [corpus for corpus in protocol.corpora if config.only in (None, corpus.name)]
    comparisons = {
        each.name: protocol.comparison(each, config.corpora, config.folder, config.resume) for each in wanted
    }
    plans = {corpus.name: check_corpus(protocol, corpus, comparisons[corpus.name]) for corpus in wanted}
    if config.only is None:
        _check_bars(protocol, plans)
    if config.dry_run:
        return _told(protocol, plans)
    config.folder.mkdir(parents=True, exist_ok=True)
    write_atomic(begun, data)
    tables = {name: compare.main(comparison)["policies"] for name, comparison in comparisons.items()}
    if config.only is not None:
        return {"corpus": config.only, "policies": tables[config.only]}
    found = {name: json.loads((each.folder / "results.json").read_text()) for name, each in comparisons.items()}
    results = pool(protocol, found) | {
        "protocol_sha256": hashlib.sha256(data).hexdigest(),
        "versions": {name: version(name) for name in ("pretraingym", "torch", "transformers")},
    }
    page = claim_page(protocol, results)
    write_atomic(config.folder / "results.json", json.dumps(results).encode())
    write_atomic(config.folder / "claim.md", page.encode())
    print(page)
    return {"met": results["met"], "verdicts": results["verdicts"], "results": str(config.folder / "results.json")}


def check_corpus(protocol: Protocol, corpus: ClaimCorpus, comparison: CompareConfig) -> dict[str, Any]:
    """The number of runs on one corpus, and how many scenarios there are of each group. InputError: the corpus is
    missing, damaged or another one, a reference task, agent or policy is not there, a learned policy has other weights,
    or the folder holds another run."""
    where = f"corpus '{corpus.name}'"
    assert comparison.corpus is not None
    opened = Corpus.open(comparison.corpus, verify=True)
    if corpus.fingerprint not in (None, opened.fingerprint):
        raise InputError(
            f"{where} has the fingerprint {opened.fingerprint}, the protocol's is {corpus.fingerprint}: it was built "
            "or labelled in another way"
        )
    try:
        task = comparison.setting.task(opened)
        comparison.distribution.reference_tasks(task)
        for name in corpus.new_references:
            if name not in task.reference_tasks:
                raise InputError(f"new_references name '{name}'; {nearest(name, task.reference_tasks)}")
        policies = make_policies(comparison.policies, task.agent_names)
        hashes = learned_hashes(policies)
        _check_hashes({**protocol.hashes, **corpus.hashes}, hashes)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    check_folder(comparison.folder, comparison, comparison.resume, learned=hashes)
    drawn = [comparison.distribution.numbered(task, comparison.seed, place)[0] for place in range(corpus.scenarios)]
    groups = Counter(group_of(scenario.as_json(), corpus.new_references) for scenario in drawn)
    per_seed = 2 + len(policies) + len(protocol.ladder)  # with natural, twice
    return {"runs": corpus.scenarios * protocol.seeds * per_seed, "scenarios": dict(groups)}


def _check_hashes(wanted: Mapping[str, str], there: Mapping[str, str]) -> None:
    """InputError: the learned policies have other weights than these, or are others."""
    if unknown := there.keys() - wanted.keys():
        told = ", ".join(f'"{name}": "{there[name]}"' for name in sorted(unknown))
        raise InputError(f"the protocol has no hashes of learned policies; expected {told}")
    for name, digest in wanted.items():
        if name not in there:
            raise InputError(f"hashes name '{name}', which is no learned policy here; {nearest(name, there)}")
        if there[name] != digest:
            raise InputError(f"policy '{name}' has weights of hash {there[name]}, the protocol's is {digest}")


def _check_bars(protocol: Protocol, plans: Mapping[str, Any]) -> None:
    """InputError: a bar is on scenarios of which the protocol draws none."""
    for group, bar in ((KNOWN, "known_gain_nats"), (NEW, "new_gain_nats")):
        if getattr(protocol.bars, bar) is not None and not any(plan["scenarios"].get(group) for plan in plans.values()):
            raise InputError(f"bars.{bar} is given, but no scenario is {group}: set it to null, or draw more scenarios")


def _told(protocol: Protocol, plans: Mapping[str, Any]) -> dict[str, Any]:
    """What a dry run tells."""
    return {
        "claim": protocol.claim,
        "runs": sum(plan["runs"] for plan in plans.values()),
        "shared_policies": list(protocol.shared),
        "corpora": dict(plans),
    }


if __name__ == "__main__":
    try:
        print(json.dumps(measure(tyro.cli(ClaimConfig, description=__doc__))))
    except InputError as error:
        print(f"pretraingym: {error}", file=sys.stderr)
        sys.exit(2)
