"""States of several parts in one flat mapping of arrays."""

from numpy.typing import NDArray


def state_under(prefix: str, state: dict[str, NDArray]) -> dict[str, NDArray]:
    """The arrays whose names begin with `prefix`, by the rest of their names."""
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
