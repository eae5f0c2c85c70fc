"""The rows of a parquet file."""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow
from pyarrow.parquet import ParquetFile

from .class_names import ClassNames
from .record import Values

BATCH = 256  # rows at a time


def parquet_rows(file: ParquetFile, columns: list[str]) -> Iterator[Values]:
    """The values of `columns` in each row. Text comes as bytes near invalid UTF-8, which does not fail a batch so;
    classes that `datasets` numbered come by name."""
    classes = ClassNames(_features(file.schema_arrow))
    for batch in file.iter_batches(BATCH, columns=columns):
        try:
            rows = batch.to_pylist()
        except UnicodeDecodeError:
            rows = batch.cast(pyarrow.schema([_text_as_bytes(field) for field in batch.schema])).to_pylist()
        yield from map(classes.named, rows) if classes else rows


def _text_as_bytes(field: pyarrow.Field) -> pyarrow.Field:
    kind = field.type.value_type if pyarrow.types.is_dictionary(field.type) else field.type
    return field.with_type(pyarrow.large_binary() if kind in (pyarrow.string(), pyarrow.large_string()) else kind)


def _features(schema: pyarrow.Schema) -> dict[str, Any]:
    """What `datasets` wrote of the columns into a schema; {} if it did not."""
    try:
        found = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        return dict(found["info"]["features"])
    except (ValueError, KeyError, TypeError):
        return {}
