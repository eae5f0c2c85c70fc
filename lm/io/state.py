"""States as one flat mapping of arrays: those of parts under the part's name, JSON values as arrays of bytes."""

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

State = dict[str, NDArray[Any]]


def copies(owner: object, names: Iterable[str]) -> State:
    """The owner's arrays of these names, copied."""
    return {name: getattr(owner, name).copy() for name in names}


def restore(owner: object, names: Iterable[str], state: State) -> None:
    """Put back what `copies` gave."""
    for name in names:
        setattr(owner, name, state[name].copy())


def nested(part: str, state: State) -> State:
    """The state of a part for the state of the whole: the same arrays, with `part/` before their names."""
    return {f"{part}/{name}": array for name, array in state.items()}


def under(part: str, state: State) -> State:
    """What `nested` put under `part`, by its own names."""
    prefix = f"{part}/"
    return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}


def json_as_array(value: Any) -> NDArray[np.uint8]:
    """The bytes of a JSON value."""
    return np.frombuffer(json.dumps(value).encode(), np.uint8).copy()


def json_in_array(array: NDArray[np.uint8]) -> Any:
    """The value that `json_as_array` was given. ValueError: these bytes are not JSON."""
    return json.loads(array.tobytes())
