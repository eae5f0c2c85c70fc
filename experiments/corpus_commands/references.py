"""What `--reference NAME SOURCE` may give as a source: files, a dataset, a benchmark, or a category of the corpus."""

import glob
import math
import os.path  # its exists takes names of any length
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...lm.ingest.documents import DOMAIN, Columns
from ...lm.ingest.held_out import Category
from ...lm.io.errors import InputError
from ...lm.io.files import nearest
from ...lm.records.hub_datasets import is_saved

DATASET, BENCHMARK, CATEGORY = "dataset:", "lm-eval:", "category:"
CONDITION = re.compile(r"([\w.-]+)(>=|<=|=)(.+)", re.DOTALL)
SETTING = re.compile(r"(config|split)=([^,=]+)")
SOURCES = """\
  files, a folder or a quoted pattern:   --reference qa "qa/*.jsonl"
  a dataset of Hugging Face's datasets:  --reference qa dataset:squad:split=validation
  a benchmark of lm-evaluation-harness:  --reference arc lm-eval:arc_easy
  a category or a score of the corpus:   --reference code domain=github
                                         --reference best "quality>=4\""""
NO_REFERENCE = f"""\
no reference task is given, expected text of the kind that the model should become good at: it is
held out, and text is chosen by what it does for the loss there. Give --reference NAME SOURCE, as in:
{SOURCES}
A random share of the training text can stand in, but selection has nothing to gain on it: the text as it
is (natural) is the best for that. To go on with a share of it all the same: --hold-out 0.01"""


@dataclass(frozen=True)
class Files:
    """A file, a folder or a pattern."""

    pattern: str


@dataclass(frozen=True)
class NamedDataset:
    """A dataset that `datasets` reads: a name on the hub, a folder of data files, or one that save_to_disk wrote."""

    name: str
    config: str | None
    split: str


@dataclass(frozen=True)
class Benchmark:
    """A task, or a group of tasks, of lm-evaluation-harness: its name, or the YAML file of one."""

    name: str


Source = Files | NamedDataset | Benchmark | Category


def source_of(task: str, given: str, columns: Columns, cuts: Mapping[str, Sequence[float]]) -> Source:
    """What `--reference task given` means. What begins with dataset:, lm-eval: or category: is that. Else a file, a
    folder or a pattern that is there counts, even if it is called LABEL=VALUE; only then is LABEL=VALUE a category. (A
    file that is called as one of the three begin is written ./dataset:...) InputError: it is none of these."""
    for prefix, kind in ((DATASET, _dataset), (BENCHMARK, Benchmark)):
        if given.startswith(prefix):
            if not (name := given.removeprefix(prefix)).strip():
                raise InputError(f"reference task '{task}' is '{given}', expected a name after {prefix}")
            return kind(name)
    plain = given.removeprefix(CATEGORY)
    if plain == given and _is_there(given):
        return _folder_of_a_dataset(given) or Files(given)
    if found := CONDITION.fullmatch(plain):
        return _category(task, found, columns, cuts)
    if plain != given:
        raise InputError(f"reference task '{task}' is '{given}', expected category:LABEL=VALUE")
    if not given.strip():
        raise InputError(
            f"the files of reference task '{task}' are named '', expected a name, a pattern or a folder: is a shell "
            "variable empty?"
        )
    raise InputError(
        f"reference task '{task}' is '{given}', and no files are called so; expected files, {DATASET}NAME, "
        f"{BENCHMARK}TASK or LABEL=VALUE"
    )


def _is_there(given: str) -> bool:
    return bool(given.strip()) and (os.path.exists(given) or any(glob.iglob(given, recursive=True)))


def _folder_of_a_dataset(given: str) -> NamedDataset | None:
    """What save_to_disk wrote is read as a dataset, also without the prefix."""
    return NamedDataset(given, None, "train") if is_saved(given) else None


def _dataset(given: str) -> NamedDataset:
    """From NAME or NAME:config=CONFIG,split=SPLIT; either may be left out. A folder that is there is a name as a
    whole."""
    name, colon, settings = given.rpartition(":")
    pairs = [SETTING.fullmatch(part) for part in settings.split(",")]
    if not colon or os.path.exists(given):
        return NamedDataset(given, None, "train")
    if not name or None in pairs:
        raise InputError(
            f"dataset '{given}' has the settings '{settings}', expected config=CONFIG or split=SPLIT, as in: "
            "dataset:ai2_arc:config=ARC-Easy,split=validation"
        )
    found = {pair[1]: pair[2] for pair in pairs if pair}
    return NamedDataset(name, found.get("config"), found.get("split", "train"))


def _category(task: str, found: re.Match[str], columns: Columns, cuts: Mapping[str, Sequence[float]]) -> Category:
    label, sign, value = found.groups()
    if label == columns.domain and label not in (*columns.categories, *columns.scores):
        label = DOMAIN  # as the files call it
    labels = {DOMAIN, *columns.categories, *columns.scores}
    if label not in labels:
        raise InputError(
            f"reference task '{task}' is '{found[0]}', and no file is called so, nor a label of the corpus; "
            f"{nearest(label, labels)}; name more labels with --columns.categories or --columns.scores"
        )
    if label not in columns.scores:
        if sign != "=":
            raise InputError(f"reference task '{task}' is '{found[0]}', but {label} is no score: give {label}={value}")
        return Category(found[0], label, value)
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"reference task '{task}' is '{found[0]}', expected a number, for {label} is a score")
    return Category(found[0], label, None, *_bounds(sign, number, cuts.get(label, ())))


def _bounds(sign: str, number: float, cuts: Sequence[float]) -> tuple[float, float]:
    """The scores that are meant, from the first up to but without the second. `=`: those of the number's bin, if it is
    said where to cut; else just that number."""
    above = math.nextafter(number, math.inf)
    if sign == ">=":
        return number, math.inf
    if sign == "<=":
        return -math.inf, above
    if not cuts:
        return number, above
    edges = [-math.inf, *cuts, math.inf]
    place = bisect_right(cuts, number)
    return edges[place], edges[place + 1]
