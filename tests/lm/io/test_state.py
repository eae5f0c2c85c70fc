"""States of parts in the state of the whole."""

import numpy as np
import pytest

from pretraingym.lm.io.state import json_as_array, json_in_array, nested, under


def test_what_was_nested_under_a_part_comes_back_alone() -> None:
    inner, other = {"a": np.arange(2), "deep/b": np.ones(3)}, {"a": np.zeros(1)}
    whole = {"inner": np.array(7)} | nested("inner", inner) | nested("innermost", other)
    assert set(whole) == {"inner", "inner/a", "inner/deep/b", "innermost/a"}
    assert under("inner", whole) == inner
    assert under("innermost", whole) == other
    assert under("nobody", whole) == {}


def test_json_values_travel_as_bytes() -> None:
    value = {"seed": 2**70, "text": "ä", "nothing": None}
    assert json_as_array(value).dtype == np.uint8
    assert json_in_array(json_as_array(value)) == value
    with pytest.raises(ValueError, match="Expecting"):
        json_in_array(np.frombuffer(b"{", np.uint8))
