"""What a trial's numbers mean, in sentences."""

from .trial import TrialResult

# experiments/RESULTS.md, entry 6 (ten scenarios, five policies), and experiments/results/2026-12-01-own-corpora (three
# single runs). Of larger targets it is known that policies gain (entries 14 and 17), and no ratio.
EXPECTED = (
    "on a target of 8 times the size expect roughly as much: 1.0 to 1.3 times as much on average over scenarios, .9 to "
    "1.6 times in single runs"
)
CURES = (
    "take --policy natural, or another policy (compare tells which gains here), or more reference text; to run it all "
    "the same give --anyway"
)
# A loss of less is told and not refused: with many windows an interval also excludes 0 where the loss is too small to
# matter. compare counts harm from .02; a quarter of that here, since what is refused is a whole target (assumed).
REFUSED_NATS = 0.005
LIKELY_NATS = 0.02  # a loss from here on is told as the best guess, also where the interval holds 0
FITS = 1.5  # the validation gain is told apart from the trial gain from this ratio up, if the interval is above 0 too


def numbers(result: TrialResult) -> str:
    """The gain and what it is over."""
    return (
        f"{result.policy} against natural on proxies of this corpus: {result.gain} ({result.pairs} pairs of runs, "
        f"{result.documents} documents of the trial part)"
    )


def meaning(result: TrialResult) -> str:
    """What the gain means, in a plain sentence."""
    if result.gain.ci95 is None:
        return (
            "all windows measured of one of the reference tasks are of a single document, so nothing is known; name "
            "more reference text, or measure more windows (--trial.windows)"
        )
    few = "" if _loses(result) else f", by less than {REFUSED_NATS:g} nats, for which nothing is refused"
    return {
        "gain": f"the policy helps here; {EXPECTED}",
        "none": "the policy selects nothing in any of these runs, which are natural's: for these reference tasks it "
        "neither helps nor harms here",
        "unclear": "the interval holds 0, so whether the policy helps here is not known" + _guess(result),
        "harm": "the interval lies below 0, so the policy makes the model worse than no selection" + few,
    }[result.gain.verdict]


def fit(result: TrialResult) -> str:
    """What the validation gain beside the trial gain means; "" where they agree."""
    if result.fit.verdict != "gain" or result.validation_gain.nats < FITS * result.gain.nats:
        return ""
    return (
        f"on the validation text, which steers it, the policy stands at {result.validation_gain.nats:+.3f} nats, "
        f"{result.fit.nats:.3f} above the trial text: so much is fit to that text alone"
    )


def told(result: TrialResult) -> str:
    """All of it, in one line."""
    return "; ".join(filter(None, [f"trial: {numbers(result)}", meaning(result), fit(result)]))


def refusal(result: TrialResult, cures: str = CURES) -> str | None:
    """Why the policy should not drive, in one line, with what to do; None: it may."""
    return f"{told(result)}; {cures}" if _loses(result) else None


def _guess(result: TrialResult) -> str:
    """What to do where nothing is certain and the best guess is a loss."""
    if result.gain.nats > -LIKELY_NATS:
        return ""
    return ", and the best guess is that it loses: to be safe take --policy natural, or give more reference text"


def _loses(result: TrialResult) -> bool:
    """Whether the whole interval is below 0, and the loss large enough to refuse the policy for it."""
    return result.gain.verdict == "harm" and result.gain.nats < -REFUSED_NATS
