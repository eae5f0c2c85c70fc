"""Files of arrays: whole or absent, and files that another version wrote are not taken for damaged ones."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from pretraingym.lm.io.array_file import DamagedFile, OtherVersion, read_arrays, write_arrays

SCHEMA, CURE = 3, "restore it"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of two arrays."""
    arrays = {"transposed": np.arange(6.0).reshape(2, 3).T, "flag": np.array(True), "none": np.zeros((0, 4), np.uint16)}
    write_arrays(tmp_path / "arrays.safetensors", arrays, {"name": "ä"}, SCHEMA)
    return tmp_path / "arrays.safetensors"


def test_what_is_read_is_what_was_written(path: Path) -> None:
    about, arrays = read_arrays(path, SCHEMA, CURE)
    assert about == {"name": "ä"}
    np.testing.assert_array_equal(arrays["transposed"], np.arange(6.0).reshape(2, 3).T)
    assert arrays["flag"].shape == ()
    assert arrays["flag"].dtype == bool
    assert (arrays["none"].shape, arrays["none"].dtype) == ((0, 4), np.uint16)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("size", [0, 7, 30, -1])
def test_a_cut_file_is_damaged(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DamagedFile, match=r"arrays\.safetensors is damaged: restore it$"):
        read_arrays(path, SCHEMA, CURE)


@pytest.mark.parametrize("header", [{"about": "{"}, {"about": "[]"}])
def test_a_header_of_another_kind_is_damage(path: Path, header: dict[str, str]) -> None:
    save_file({"a": np.zeros(1)}, path, header)
    with pytest.raises(DamagedFile, match="is damaged: restore it"):
        read_arrays(path, SCHEMA, CURE)


def test_files_of_other_versions_are_told(path: Path) -> None:
    with pytest.raises(OtherVersion, match="by an earlier version .its format is 3, this version reads 4.: start anew"):
        read_arrays(path, 4, CURE)
    with pytest.raises(OtherVersion, match="by a later version .its format is 3, this version reads 2."):
        read_arrays(path, 2, CURE)
    save_file({"a": np.zeros(1)}, path)
    with pytest.raises(OtherVersion, match="an earlier version .its format is None, .* or finish the run with that"):
        read_arrays(path, SCHEMA, CURE)
