"""The table of outcomes as a page of Markdown."""

from collections.abc import Sequence
from math import isfinite

from .libraries import Library
from .runner import Outcome

HEAD = """# Which libraries train on PretrainGym/Surrogate-v2

    make compat

{about}

Each library trains a little with its stock classes, in an environment and a process of its own; its script is in
`experiments/compat/clients/`. What it learned is then scored on the same {episodes} episodes, which it did not see: the
mean return in nats over natural, with its standard error. Optuna and Nevergrad search a constant action. The times are
of the wall clock, {jobs} scripts at a time, and hold the import, the learning and the scoring. The runs are short and
of different lengths: the table says that a library works, not which one learns best.

| library | version | script | works | seconds | return | over action 0 | over the best constant |
|---|---|---|---|---|---|---|---|
"""


def page(about: str, results: Sequence[tuple[Library, Outcome]], constants: Sequence[Outcome], **facts: int) -> str:
    """constants: the outcomes of action 0 and of the best constant; facts: `episodes` and `jobs` of the head."""
    rows = [f"| | | {each.client} | | | {_score(each)} | {_over(each, constants)} |" for each in constants]
    rows += [_row(library, outcome, constants) for library, outcome in results]
    notes = [
        f"- **{library.name}.** {library.note}" for library in dict.fromkeys(row[0] for row in results) if library.note
    ]
    return HEAD.format(about=about, **facts) + "\n".join(rows) + "\n\n" + "\n".join(notes) + "\n"


def _row(library: Library, outcome: Outcome, constants: Sequence[Outcome]) -> str:
    works = f"no: {outcome.fault}".replace("|", "/") if outcome.fault else "yes"
    cells = [library.name, outcome.version, outcome.client, works, f"{outcome.wall_s:.0f}", _score(outcome)]
    return f"| {' | '.join(cells)} | {_over(outcome, constants)} |"


def _score(outcome: Outcome) -> str:
    return f"{outcome.return_nats:.3f} ± {outcome.error_nats:.3f}" if isfinite(outcome.return_nats) else ""


def _over(outcome: Outcome, constants: Sequence[Outcome]) -> str:
    gains = [outcome.return_nats - constant.return_nats for constant in constants]
    return " | ".join(f"{gain:+.3f}" if isfinite(gain) else "" for gain in gains)
