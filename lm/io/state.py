"""States as one flat mapping of arrays: those of parts under the part's name, JSON values as arrays of bytes."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

State = dict[str, NDArray[Any]]


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
