"""A checkpoint that another version wrote is refused as such, and is not renamed as damaged."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pretraingym.lm.io.errors import InputError
from pretraingym.lm.target.checkpoints import MANIFEST, Checkpoints, Piece, _own_hash
from pretraingym.lm.target.ranks import Ranks


@pytest.mark.parametrize("schema", [1, 2, 3])
def test_a_checkpoint_of_an_earlier_version_is_left_as_it_is(tmp_path: Path, schema: int) -> None:
    checkpoints = Checkpoints(tmp_path, Ranks("cpu"))
    checkpoints.save(7, {"weight": Piece(torch.ones(2, 3), 0, 2)}, {"seeds": np.arange(3)}, {"elapsed_s": 1.5})
    checkpoints.finish()
    found = checkpoints.newest()
    assert found is not None
    np.testing.assert_array_equal(found.arrays["seeds"], np.arange(3))
    assert found.about == {"elapsed_s": 1.5, "step": 7}
    path = found.path / MANIFEST
    manifest = json.loads(path.read_text()) | {"schema": schema}
    del manifest["sha256"]
    path.write_text(json.dumps(manifest | {"sha256": _own_hash(manifest)}))
    for _ in range(2):
        with pytest.raises(
            InputError, match=r"step-000000007 was written by an earlier version \(its format .* start anew in [^\n]*$"
        ):
            checkpoints.newest()
    assert [entry.name for entry in tmp_path.iterdir()] == [found.path.name]
