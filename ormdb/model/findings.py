"""What is wrong with the classes of a schema, gathered to be told at once.

    SchemaError: the schema has 2 mistakes:
      - Flight.seats: list[int] is no field type; use tuple[T, ...]
      - Flight.origin: on_delete='explode' is unknown; it is one of restrict, cascade, ...

Invariants (held by tests/unit/model/test_build.py):
  1. Nothing is told twice.
  2. Only when every mistake asks for a later version, the error is an UnsupportedError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

from ormdb.errors import OrmdbError, SchemaError, UnsupportedError
from ormdb.model.declaration import NOT_BUILT

P = ParamSpec("P")
T = TypeVar("T")


class Findings:
    """Mistakes in the order they were found."""

    def __init__(self) -> None:
        self._problems: dict[str, bool] = {}  # the sentence: whether it asks for a later version

    def add(self, where: str, problem: str) -> None:
        """Note a mistake."""
        self._problems.setdefault(f"{where}: {problem}", False)

    def repeat(self, sentences: Iterable[str]) -> None:
        """Note mistakes that were found when a class was made."""
        for sentence in sentences:
            self._problems.setdefault(sentence, False)

    def refuse(self, where: str, feature: str, remedy: str) -> None:
        """Note a feature that is not built yet."""
        self._problems.setdefault(f"{where}: {feature} not built yet; {remedy}", True)

    def attempt(
        self, where: str, work: Callable[P, T], *given: P.args, **named: P.kwargs
    ) -> T | None:
        """Return what `work` returns, or None when it finds a mistake, which is noted."""
        try:
            return work(*given, **named)
        except OrmdbError as error:
            later = isinstance(error, UnsupportedError)
            self._problems.setdefault(f"{where}: {error.message}", later)
            return None

    def unknown(self, where: str, options: Iterable[str], what: str, known: str) -> None:
        """Note options that nobody knows."""
        for option in options:
            plain = option.strip("_")
            if plain in NOT_BUILT:
                self.refuse(where, NOT_BUILT[plain], f"take {option} away")
            else:
                self.add(where, f"{what} has no option {option!r}; it has {known}")

    def raise_if_any(self) -> None:
        """Raise one error for all of them, if there are any.

        Raises:
          UnsupportedError: nothing but features of later versions.
          SchemaError: mistakes.
        """
        if not self._problems:
            return
        kind = UnsupportedError if all(self._problems.values()) else SchemaError
        count = "a mistake" if len(self._problems) == 1 else f"{len(self._problems)} mistakes"
        listed = "".join(f"\n  - {problem}" for problem in self._problems)
        raise kind(f"the schema has {count}:{listed}", problems=tuple(self._problems))
