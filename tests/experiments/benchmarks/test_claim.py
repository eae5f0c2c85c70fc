"""A claim on several corpora: its protocol is kept to, its parts can run apart, and all is checked before anything
runs."""

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pretraingym.env.settings.setting import Setting
from pretraingym.experiments.benchmarks.claim import ClaimConfig, measure
from pretraingym.experiments.benchmarks.claim_protocol import Protocol, read_protocol
from pretraingym.lm.ingest.synthetic import build_synthetic
from pretraingym.lm.io.errors import InputError
from pretraingym.lm.io.typed_json import from_json, to_json
from pretraingym.policies.registry import SHIPPED, make_policy
from pretraingym.policies.saved.learned import LearnedPolicy
from pretraingym.policies.saved.storage import policy_hash

Change = Callable[[dict[str, Any]], object]
OTHER = "0" * 64

PROTOCOL: dict[str, Any] = {
    "claim": "The rule lift is never worse than no selection, on any of these corpora and reference tasks.",
    "split": "development",
    "seed": 3,
    "seeds": 1,
    "nulls": 0.5,
    "ladder": [],
    "test_windows": 16,
    "setting": None,
    "corpora": [
        {
            "name": "one",
            "fingerprint": None,
            "scenarios": 6,
            "references": [],
            "new_references": [],
            "policies": ["best=constant:strength=0.1,match-code=1"],
            "hashes": {},
        },
        {
            "name": "two",
            "fingerprint": None,
            "scenarios": 4,
            "references": [],
            "new_references": ["prose", "code"],
            "policies": ["best=ten-tasks", "here=constant:strength=0.2,match-prose=1"],
            "hashes": {"best": json.loads((SHIPPED / "ten-tasks" / "policy.json").read_text())["sha256"]},
        },
    ],
    "policies": ["lift", "uniform"],
    "hashes": {},
    "claimed": "lift",
    "rival": "best",
    "bars": {
        "harm_nats": 0.02,
        "harmed_share": 1.0,
        "worst_tenth_nats": -9.0,
        "known_gain_nats": -9.0,
        "new_gain_nats": 9.0,
        "over_rival_nats": None,
    },
}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpora")
    for seed, name in enumerate(("one", "two")):
        build_synthetic(folder / name, seed)
    return folder


@pytest.fixture
def claim(corpora: Path, tiny_setting: Setting, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs PROTOCOL, with some change."""

    def run(change: Change = lambda protocol: None, **flags: Any) -> dict[str, Any]:
        protocol = copy.deepcopy(PROTOCOL) | {"setting": to_json(tiny_setting)}
        change(protocol)
        (tmp_path / "protocol.json").write_text(json.dumps(protocol))
        return measure(ClaimConfig(tmp_path / "protocol.json", corpora, tmp_path / "claim", **flags))

    return run


def test_no_two_corpora_draw_alike(tmp_path: Path) -> None:
    (tmp_path / "protocol.json").write_text(json.dumps(PROTOCOL))
    protocol = read_protocol(tmp_path / "protocol.json")[0]
    seeds = [protocol.comparison(corpus, tmp_path, tmp_path, False).seed for corpus in protocol.corpora]
    assert seeds == [3, 4]


def test_a_dry_run_tells_the_runs_and_writes_nothing(claim: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    told = claim(dry_run=True)
    assert told["runs"] == 6 * (2 + 3) + 4 * (2 + 4)
    assert told["shared_policies"] == ["lift", "uniform", "best"]
    groups = {name: corpus["scenarios"] for name, corpus in told["corpora"].items()}
    assert [sum(numbers.values()) for numbers in groups.values()] == [6, 4]
    assert "ordinary-known" in groups["one"]
    assert "ordinary-new" in groups["two"]
    assert not (tmp_path / "claim").exists()


@pytest.mark.filterwarnings("ignore:The main reference tasks are few", "ignore:learned policies met")
def test_parts_run_apart_and_are_pooled(
    claim: Callable[..., dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "claim"
    assert claim(only="two")["corpus"] == "two"
    assert not (folder / "results.json").exists()
    with pytest.raises(InputError, match="add --resume"):
        claim()
    assert not (folder / "one").exists()  # refused before the other corpus ran
    summary = claim(resume=True)
    assert (folder / "claim.md").read_text() in capsys.readouterr().out
    results = json.loads((folder / "results.json").read_text())
    assert results["met"] is summary["met"] is False
    met = {verdict["bar"]: verdict["met"] for verdict in results["verdicts"]}
    assert met == {
        "harmed share": True,
        "worst tenth, nats": True,
        "gain on ordinary scenarios of known references, nats": True,
        "gain on ordinary scenarios of new references, nats": False,
    }
    assert results["policies"] == ["lift", "uniform", "best", "natural, another seed"]
    own = {name: json.loads((folder / name / "results.json").read_text()) for name in ("one", "two")}
    for place, name in enumerate(results["policies"]):
        each = [own[corpus]["policies"][name]["gain_by_scenario"] for corpus in ("one", "two")]
        gains = [scenario["gains"][place][0] for scenario in results["scenarios"]]
        assert gains == pytest.approx([*each[0], *each[1]], abs=1e-4)
        assert results["tables"]["all"][name]["gain_nats"] == pytest.approx(np.mean(gains), abs=1e-4)
    assert "here" in results["corpora"]["two"]["policies"]
    assert "here" not in results["tables"]["all"]
    assert {name.split(": ")[0] for name in results["tables"]["all"]["lift"]["gain_by_task"]} == {"one", "two"}
    assert len(json.dumps(results["scenarios"])) < 250 * len(results["scenarios"])
    (folder / "results.json").unlink()
    assert claim(resume=True) == summary
    with pytest.raises(InputError, match="holds runs of another protocol, see its protocol.json"):
        claim(lambda protocol: protocol["bars"].update(new_gain_nats=0.0), resume=True)


def set_to(value: Any, *path: str | int) -> Change:
    def change(protocol: dict[str, Any]) -> None:
        inside: Any = protocol
        for step in path[:-1]:
            inside = inside[step]
        inside[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "flags", "refusal"),
    [
        (set_to(0, "extra"), {}, "has the unknown key 'extra'"),
        (lambda protocol: protocol.pop("rival"), {}, "lacks the key 'rival'"),
        (
            set_to("here", "rival"),
            {},
            "rival is 'here', expected a policy that all corpora have; .*best, lift, uniform",
        ),
        (set_to("lift", "rival"), {}, "claimed and rival are both 'lift'"),
        (set_to(0.03, "bars", "harm_nats"), {}, "harm_nats is 0.03, expected 0.02"),
        (set_to(["prose"], "corpora", 1, "references"), {}, "new_references of 'two' name 'code'"),
        (set_to(2.0, "bars", "harmed_share"), {}, "harmed_share is 2.0, expected a share"),
        (set_to(dict.fromkeys(PROTOCOL["bars"]) | {"harm_nats": 0.02}, "bars"), {}, "no bar is given"),
        (set_to("..", "corpora", 0, "name"), {}, "a corpus is called '..', expected letters"),
        (set_to("two", "corpora", 0, "name"), {}, "corpora are .* expected at least one and none twice"),
        (set_to("three", "corpora", 0, "name"), {}, "three"),
        (set_to(1, "corpora", 0, "scenarios"), {}, "corpus 'one': 1 scenarios"),
        (set_to(["prosa"], "corpora", 0, "references"), {}, "corpus 'one': references name 'prosa'"),
        (set_to(["prosa"], "corpora", 1, "new_references"), {}, "corpus 'two': new_references name 'prosa'"),
        (
            set_to([], "corpora", 1, "new_references"),
            {},
            "bars.new_gain_nats is given, but no scenario is ordinary-new",
        ),
        (set_to(OTHER, "corpora", 1, "fingerprint"), {}, f"corpus 'two' has the fingerprint .* protocol's is {OTHER}"),
        (set_to({}, "corpora", 1, "hashes"), {}, 'corpus \'two\': the protocol has no hashes of .* expected "best": "'),
        (set_to(OTHER, "corpora", 1, "hashes", "best"), {}, "policy 'best' has weights of hash .* the protocol's is 0"),
        (set_to(OTHER, "hashes", "lift"), {}, "corpus 'one': hashes name 'lift', which is no learned policy here"),
        (set_to(["lift", "only:no"], "policies"), {}, "corpus 'one': .*no"),
        (lambda protocol: None, {"only": "on"}, "only is 'on'; did you mean 'one'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(
    claim: Callable[..., dict[str, Any]], tmp_path: Path, change: Change, flags: dict[str, Any], refusal: str
) -> None:
    with pytest.raises(InputError, match=refusal):
        claim(change, **flags)
    assert not (tmp_path / "claim").exists()


def test_the_hash_is_that_of_the_policy_s_file() -> None:
    policy = make_policy("ten-tasks")
    assert isinstance(policy, LearnedPolicy)
    assert PROTOCOL["corpora"][1]["hashes"]["best"] == policy_hash(policy)
    assert to_json(from_json(Protocol, PROTOCOL, "protocol")) == PROTOCOL


def test_a_refusal_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pretraingym.experiments.benchmarks.claim"]
    arguments = [str(tmp_path / "none.json"), "--corpora", str(tmp_path), "--folder", str(tmp_path / "claim")]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    told = f"pretraingym: {tmp_path}/none.json: No such file or directory, expected the JSON file of a protocol\n"
    assert done.stderr == told
