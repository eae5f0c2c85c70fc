"""Typed values through JSON and back: exact, and refused in one line where they are wrong."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from pretraingym.lm.io.errors import InputError
from pretraingym.lm.io.typed_json import Axes, Natural, from_json, natural, to_json

Array = NDArray[np.float64]
LENGTHS = {"I": 2, "K": 3, "categories": {"topic": 1, "domain": 2}}


@dataclass(frozen=True)
class Inner:
    low: float
    high: float | None = None

    def __post_init__(self) -> None:
        if self.high is not None and self.high < self.low:
            raise InputError(f"high is {self.high}, expected {self.low} or more")


@dataclass(frozen=True)
class Outer:
    kind: Literal["outer"]
    count: Natural
    folder: Path
    pairs: tuple[tuple[str, float], ...]
    inner: dict[str, Inner]
    cells: tuple[dict[str, str | float | int | bool | None], ...]
    anything: Any
    weights_IK: Annotated[Array, Axes(("I", "K"), null=True)]
    tokens: Annotated[NDArray[np.int64], Axes(("I",), each=natural)]
    shares: dict[str, Annotated[Array, Axes(("I", "categories"))]]


def outer() -> Outer:
    return Outer(
        kind="outer",
        count=3,
        folder=Path("some/where"),
        pairs=(("a", 1 / 3), ("b", 0.1 + 0.2)),
        inner={"x": Inner(1.0), "y": Inner(1.0, 2.0)},
        cells=({"text": "t", "real": 1.0, "whole": 1, "yes": True, "none": None}, {}),
        anything={"a": [1, None]},
        weights_IK=np.array([[1 / 3, 0.0, 1.0], [1.0, 2.0, 3.0]]),
        tokens=np.array([1, 2**40]),
        shares={"topic": np.ones((2, 1)), "domain": np.zeros((2, 2))},
    )


def test_what_comes_back_is_what_was_written() -> None:
    value = outer()
    text = json.dumps(to_json(value), allow_nan=False)
    assert list(json.loads(text)) == [
        "kind", "count", "folder", "pairs", "inner", "cells", "anything", "weights", "tokens", "shares",
    ]  # fmt: skip
    read = from_json(Outer, json.loads(text), "it", LENGTHS)
    assert to_json(read) == to_json(value)
    assert (read.inner, read.folder, read.pairs) == (value.inner, value.folder, value.pairs)
    for name, kind in {"text": str, "real": float, "whole": int, "yes": bool, "none": type(None)}.items():
        assert type(read.cells[0][name]) is kind, name
    assert (read.weights_IK.dtype, read.tokens.dtype) == (np.float64, np.int64)
    np.testing.assert_array_equal(read.tokens, value.tokens)
    assert {name: shares.shape for name, shares in read.shares.items()} == {"topic": (2, 1), "domain": (2, 2)}


def test_null_is_nan_where_it_may_be() -> None:
    content = to_json(outer())
    content["weights"][1][2] = None
    assert np.isnan(from_json(Outer, content, "it", LENGTHS).weights_IK).tolist() == [[False] * 3, [False, False, True]]


def test_empty_arrays_have_their_shape() -> None:
    kind: Any = Annotated[Array, Axes(("I", "none"))]
    assert from_json(kind, [[], []], "it", {"I": 2, "none": 0}).shape == (2, 0)


def put(key: str, value: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda content: content.update({key: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("more", 1), "it has the unknown key 'more', expected kind, count,"),
        (lambda content: content.pop("weights"), "it lacks the key 'weights', expected kind, count,"),
        (put("kind", "other"), "it.kind is 'other', expected 'outer'"),
        (put("count", -1), "it.count is -1, expected a whole number from 0 up"),
        (put("count", True), "it.count is True, expected a whole number"),
        (put("folder", 1), "it.folder is 1, expected text of at most 10000 characters"),
        (put("pairs", [["a", 1.0, 2]]), "it.pairs[0] is ['a', 1.0, 2], expected a list of 2"),
        (put("pairs", [["a", None]]), "it.pairs[0][1] is None, expected a finite number"),
        (put("inner", []), "it.inner is [], expected an object"),
        (put("inner", {"x": {"low": 1.0}}), "it.inner.x lacks the key 'high'"),
        (put("inner", {"x": {"low": 1.0, "high": 0.5}}), "it.inner.x: high is 0.5, expected 1.0 or more"),
        (put("cells", [{"a": []}]), "it.cells[0].a is [], expected str or float or int or bool"),
        (put("weights", [[0.0] * 3]), "it.weights is [[0.0, 0.0, 0.0]], expected a list of 2"),
        (put("weights", [[0.0] * 3, [0.0, "1", 0.0]]), "it.weights[1][1] is '1', expected a finite number"),
        (put("tokens", [1, -1]), "it.tokens[1] is -1, expected a whole number from 0 up"),
        (put("tokens", [1, None]), "it.tokens[1] is None, expected a whole number"),
        (put("tokens", [1, 1.0]), "it.tokens[1] is 1.0, expected a whole number"),
        (put("shares", {"topic": [[1.0]] * 2}), "it.shares lacks the key 'domain', expected topic, domain"),
        (
            put("shares", {"topic": [[1.0]] * 2, "domain": [[1.0]] * 2}),
            "it.shares.domain[0] is [1.0], expected a list of 2",
        ),
    ],
)
def test_what_is_wrong_is_told(change: Callable[[dict[str, Any]], Any], message: str) -> None:
    content = to_json(outer())
    change(content)
    with pytest.raises(InputError) as error:
        from_json(Outer, content, "it", LENGTHS)
    assert message in str(error.value)


def test_hints_that_no_json_tells_apart_are_a_mistake_of_the_program() -> None:
    with pytest.raises(TypeError, match="it: a field of type <class 'complex'> cannot be read from JSON"):
        from_json(complex, 1, "it")
