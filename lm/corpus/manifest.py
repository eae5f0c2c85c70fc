"""The manifest of a folder: counts, tables and the hash of every file in it, under one fingerprint."""

import hashlib
import json
from pathlib import Path
from typing import Any

from ..io.errors import InputError
from ..io.files import write_atomic
from ..io.flat_files import REBUILD, STORED

SCHEMA = 4  # 3: reference tasks had no part for trials; 2: documents did not end in a token of their own
NAME = "manifest.json"


def label_file(name: str) -> str:
    """The file of a label column."""
    return f"labels-{name}.bin"


def fingerprint(manifest: dict[str, Any]) -> str:
    """SHA-256 of a manifest's content. That holds the hash of every file, so it stands for all of a folder's bytes. The
    names under which replaced files are stored do not count: a column that is put back is the one that was."""
    content = {key: value for key, value in manifest.items() if key != "fingerprint"}
    if isinstance(files := content.get("files"), dict):
        content["files"] = {name: {key: facts[key] for key in facts if key != STORED} for name, facts in files.items()}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
    """Write `content`, with schema and fingerprint, as the folder's manifest, over one that may be there."""
    manifest = {**content, "schema": SCHEMA}
    manifest["fingerprint"] = fingerprint(manifest)
    write_atomic(folder / NAME, json.dumps(manifest, indent=1, sort_keys=True).encode())


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest in `folder`. InputError: there is none, or it is damaged or of another schema."""
    file = folder / NAME
    if not file.is_file():
        raise InputError(f"{folder} is no corpus: it has no {NAME}; name a folder that `corpus build` wrote")
    try:
        manifest = json.loads(file.read_bytes())
    except ValueError as error:
        raise InputError(f"{file} is damaged ({error}); {REBUILD}") from None
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if schema != SCHEMA:
        raise InputError(f"{file} has schema {schema}, this version reads {SCHEMA}; {REBUILD}")
    if manifest.get("fingerprint") != fingerprint(manifest):
        raise InputError(f"{file} does not match its own fingerprint; {REBUILD}")
    return dict(manifest)
