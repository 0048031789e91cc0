"""Whether two answers are the same nested dicts, and where they first differ.

    wanted   [{"id": 1, "orders": [{"id": 7, "total": 2.5}]}]
    found    [{"id": 1, "orders": [{"id": 7, "total": 2.0}]}]
             -> "[0].orders[0].total is 2.0 instead of 2.5"

Stricter than `==`: 1, 1.0 and True are three different values.  The order of rows counts, the order
of the names in a dict does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast


class DifferentAnswerError(Exception):
    """A contestant answers otherwise than the first one, so its times mean nothing."""


def require_equal(contestant: str, what: str, *, wanted: object, found: object) -> None:
    """Refuse an answer that differs.

    Raises:
      DifferentAnswerError: it does; the message says where first.
    """
    difference = next(differences(wanted, found), None)
    if difference is not None:
        raise DifferentAnswerError(f"{contestant} answers {what} otherwise: {difference}")


def differences(wanted: object, found: object, place: str = "") -> Iterator[str]:
    """A sentence for every place where the two differ."""
    label = place or "the answer"
    if type(wanted) is not type(found):
        yield f"{label} is {_short(found)} instead of {_short(wanted)}"
    elif isinstance(wanted, dict):
        one, other = cast("dict[str, object]", wanted), cast("dict[str, object]", found)
        for name in {**one, **other}:
            if name not in other:
                yield f"{label} has no {name!r}"
            elif name not in one:
                yield f"{label} has {name!r} besides"
            else:
                yield from differences(one[name], other[name], f"{place}.{name}")
    elif isinstance(wanted, list):
        ours, theirs = cast("list[object]", wanted), cast("list[object]", found)
        if len(ours) != len(theirs):
            yield f"{label} has {len(theirs)} rows instead of {len(ours)}"
        for at, (row, other_row) in enumerate(zip(ours, theirs, strict=False)):
            yield from differences(row, other_row, f"{place}[{at}]")
    elif wanted != found:
        yield f"{label} is {_short(found)} instead of {_short(wanted)}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
