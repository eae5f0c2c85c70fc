"""The protocol of a claim: all that is decided before anything runs, in a JSON file that is committed first."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...env.scenarios.distribution import ScenarioDistribution
from ...env.settings.setting import Setting
from ...lm.io.errors import InputError
from ...lm.io.files import nearest
from ...lm.io.typed_json import Natural, from_json, parse_json
from ...policies.named import parse_policies
from ..analysis.harm import HARM_NATS
from ..commands.compare import CompareConfig


@dataclass(frozen=True)
class Bars:
    """What must hold of the claimed policy; None (null) where there is no such bar.

    harm_nats: a scenario that ends so much worse than natural is harmed; only HARM_NATS is taken. harmed_share: at most
    that share of all scenarios is. worst_tenth_nats: the worst tenth of all scenarios gains at least that, on average.
    known_gain_nats, new_gain_nats: so do the ordinary scenarios whose main reference task is known, or is new.
    over_rival_nats: at least that is the low end of the 95% interval of the gain over the rival, on all scenarios."""

    harm_nats: float
    harmed_share: float | None
    worst_tenth_nats: float | None
    known_gain_nats: float | None
    new_gain_nats: float | None
    over_rival_nats: float | None

    def __post_init__(self) -> None:
        if self.harm_nats != HARM_NATS:
            raise InputError(f"harm_nats is {self.harm_nats}, expected {HARM_NATS}, from which harm is counted")
        if self.harmed_share is not None and not 0 <= self.harmed_share <= 1:
            raise InputError(f"harmed_share is {self.harmed_share}, expected a share of the scenarios, from 0 to 1")
        if all(bar is None for name, bar in vars(self).items() if name != "harm_nats"):
            raise InputError("no bar is given, expected one that is not null: a claim of nothing is always met")


@dataclass(frozen=True)
class ClaimCorpus:
    """One corpus of a claim.

    name: its folder below that of all corpora; fingerprint: of all its bytes, as its manifest.json has it, or None:
    whatever is there; references: the tasks that scenarios may have, none: all; new_references: those of its tasks that
    no learning and no tuning met; policies: beside the common ones, as `compare` takes them; hashes: of the learned
    ones among these."""

    name: str
    fingerprint: str | None
    scenarios: Natural
    references: tuple[str, ...]
    new_references: tuple[str, ...]
    policies: tuple[str, ...]
    hashes: dict[str, str]

    def __post_init__(self) -> None:
        if self.references and (stray := set(self.new_references) - set(self.references)):
            raise InputError(f"new_references of '{self.name}' name '{min(stray)}', which is none of its references")
        if not self.name.replace("-", "").replace("_", "").isalnum():  # so that no folder is outside the claim's
            raise InputError(f"a corpus is called '{self.name}', expected letters, digits, hyphens and underscores")


@dataclass(frozen=True)
class Protocol:
    """claim: what is claimed, in a sentence; seed: of the first corpus's scenarios, the second has the next one and so
    on, or all would draw alike; seeds: runs of each scenario; nulls: share of null scenarios; ladder: further budgets
    of natural; setting: of the proxies, None: the default; policies: those that run on all corpora, as `compare` takes
    them; hashes: SHA-256 of the weights of the learned ones, as policy.json has it, by name; claimed: the policy that
    the claim is about; rival: the one that it is compared with."""

    claim: str
    split: Literal["train", "development", "sealed"]
    seed: Natural
    seeds: Natural
    nulls: float
    ladder: tuple[float, ...]
    test_windows: Natural
    setting: Setting | None
    corpora: tuple[ClaimCorpus, ...]
    policies: tuple[str, ...]
    hashes: dict[str, str]
    claimed: str
    rival: str
    bars: Bars

    def __post_init__(self) -> None:
        names = [corpus.name for corpus in self.corpora]
        if not names or len(set(names)) < len(names):
            raise InputError(f"corpora are {names}, expected at least one and none twice")
        for what, name in (("claimed", self.claimed), ("rival", self.rival)):
            if name not in self.shared:
                raise InputError(
                    f"{what} is '{name}', expected a policy that all corpora have; {nearest(name, self.shared)}"
                )
        if self.claimed == self.rival:
            raise InputError(f"claimed and rival are both '{self.claimed}', expected two policies")

    @property
    def shared(self) -> tuple[str, ...]:
        """Names of the policies that all corpora have, with as many learned alike."""
        counts = [
            {name: len(members) for name, members in parse_policies((*self.policies, *corpus.policies))}
            for corpus in self.corpora
        ]
        return tuple(name for name, count in counts[0].items() if all(own.get(name) == count for own in counts))

    def comparison(self, corpus: ClaimCorpus, corpora: Path, folder: Path, resume: bool) -> CompareConfig:
        """What `compare` is to run on one corpus below `corpora`, in a folder below `folder`. InputError: what compare
        refuses."""
        try:
            return CompareConfig(
                (*self.policies, *corpus.policies),
                folder / corpus.name,
                corpora / corpus.name,
                self.setting or Setting(),
                ScenarioDistribution(self.split, references=corpus.references, nulls=self.nulls),
                corpus.scenarios,
                self.seeds,
                self.ladder,
                self.test_windows,
                seed=self.seed + self.corpora.index(corpus),
                resume=resume,
            )
        except InputError as error:
            raise InputError(f"corpus '{corpus.name}': {error}") from None


def read_protocol(path: Path) -> tuple[Protocol, bytes]:
    """The protocol in a file, and the file's bytes. InputError: there is none, or it is no protocol."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}, expected the JSON file of a protocol") from None
    return from_json(Protocol, parse_json(data, str(path), "correct it"), str(path)), data
