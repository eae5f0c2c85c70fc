"""Records of a dataset that the `datasets` library reads."""

import zlib
from collections.abc import Iterator
from gzip import BadGzipFile
from pathlib import Path
from typing import Any

from ..io.errors import InputError, in_one_line
from .class_names import ClassNames
from .record import Record, missing_columns

MEDIA = {"Audio", "Image", "Nifti", "Pdf", "Video"}  # features that would be decoded


def dataset_records(
    name: str,
    config: str | None,
    split: str,
    streaming: bool,
    columns: tuple[str, ...] | None = None,
    required: tuple[str, ...] = (),
) -> Iterator[Record]:
    """Records of a dataset: its name on the hub, the path of a folder of data files, or that of a folder that
    `save_to_disk` wrote. columns: the ones to read, None for all; required: those, or paths into nested ones, that it
    must have. Classes come by name; pictures, sound and films are not decoded. InputError: it cannot be read."""
    stem, number = Path(name).name, 0
    try:
        found = _selected(_opened(name, config, split, streaming), name, columns, required)
        classes = ClassNames(found.features.to_dict() if found.features else {})
        for values in found:
            number += 1
            yield Record(f"{name} row {number}", stem, classes.named(values) if classes else values)
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - of any reader and decoder that datasets knows
        after = f" after {number:,} rows" if number else ""
        raise InputError(f"dataset '{name}', split '{split}', cannot be read{after}: {_cause(error, name)}") from None


def is_saved(name: str) -> bool:
    """Whether it is a folder that save_to_disk wrote. A file of data may be called state.json too."""
    whole = ("state.json", "dataset_info.json"), ("dataset_dict.json",)
    return any(all((Path(name) / file).is_file() for file in files) for files in whole)


def _opened(name: str, config: str | None, split: str, streaming: bool) -> Any:
    import datasets

    if is_saved(name):
        found = datasets.load_from_disk(name)
        return found[split] if isinstance(found, datasets.DatasetDict) else found
    return datasets.load_dataset(name, config, split=split, streaming=streaming)


def _selected(found: Any, name: str, columns: tuple[str, ...] | None, required: tuple[str, ...]) -> Any:
    """The dataset with `columns` alone, pictures, sound and films left as they are; all of it if they are not known."""
    from datasets import Features

    if found.features is None:
        return found
    if missing := missing_columns(required, found.features):
        raise InputError(f"dataset '{name}' {missing}")
    if columns is not None:
        found = found.select_columns([column for column in found.features if column in columns])
    features = found.features.to_dict()
    undecoded = _undecoded(features)
    return found if undecoded == features else found.cast(Features.from_dict(undecoded))


def _undecoded(feature: Any) -> Any:
    if isinstance(feature, dict):
        plain = {name: _undecoded(inner) for name, inner in feature.items()}
        return {**plain, "decode": False} if feature.get("_type") in MEDIA else plain
    return [_undecoded(inner) for inner in feature] if isinstance(feature, list) else feature


def _cause(error: BaseException, name: str) -> str:
    """An error, the one at the bottom of it, and what may help, in one line."""
    root = error
    while below := root.__cause__ or root.__context__:
        root = below
    module = type(root).__module__
    why = f"{'' if module == 'builtins' else f'{module}.'}{type(root).__name__}: {in_one_line(root)}"
    if root is not error:
        why = f"{in_one_line(error)} ({why})"
    if isinstance(root, StopIteration):
        return "it has no rows; is a file of it cut?"
    if isinstance(root, EOFError | zlib.error | BadGzipFile):
        return f"{why}; a file is cut or damaged, fetch it again"
    return f"{why}; --files may read the folder" if Path(name).is_dir() else why
