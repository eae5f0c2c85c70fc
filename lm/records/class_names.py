"""The classes of `datasets`: columns of numbers whose names stand in the features."""

from typing import Any

from .record import Values

LISTS = {"List", "LargeList", "Sequence"}


class ClassNames:
    """Turns the numbers of classes into their names. features: what `Features.to_dict` gives, by column."""

    def __init__(self, features: dict[str, Any]) -> None:
        self._features = {name: feature for name, feature in features.items() if _has_classes(feature)}

    def __bool__(self) -> bool:
        return bool(self._features)

    def named(self, values: Values) -> Values:
        """`values` with names for the numbers of classes, None where a number is that of none."""
        return {name: _named(value, self._features.get(name)) for name, value in values.items()}


def _has_classes(feature: Any) -> bool:
    if isinstance(feature, list):
        return any(map(_has_classes, feature))
    if isinstance(feature, dict):
        return feature.get("_type") == "ClassLabel" or any(map(_has_classes, feature.values()))
    return False


def _named(value: Any, feature: Any) -> Any:
    if isinstance(feature, list) and feature:
        feature = {"_type": "List", "feature": feature[0]}
    if value is None or not isinstance(feature, dict):
        return value
    kind = feature.get("_type")
    if kind == "ClassLabel":
        names = feature.get("names") or []
        return names[value] if isinstance(value, int) and 0 <= value < len(names) else None
    if kind in LISTS and isinstance(value, list):
        return [_named(item, feature.get("feature")) for item in value]
    if kind is None and isinstance(value, dict):
        return {name: _named(item, feature.get(name)) for name, item in value.items()}
    return value
