"""Logic with three values: what cannot be known on this machine is `None`, never a guess."""

from collections.abc import Iterable

Maybe = bool | None


def every(values: Iterable[Maybe]) -> Maybe:
    """False if one is false, else None if one is unknown; true of none."""
    found = list(values)
    if False in found:
        return False
    return None if None in found else True


def some(values: Iterable[Maybe]) -> Maybe:
    """True if one is true, else None if one is unknown; false of none."""
    found = list(values)
    if True in found:
        return True
    return None if None in found else False


def opposite(value: Maybe) -> Maybe:
    return None if value is None else not value
