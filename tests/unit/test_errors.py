"""The error tree: stable codes, and errors that survive pickling whole."""

from __future__ import annotations

import pickle
import re

import pytest

from ormdb import errors
from ormdb.errors import OrmdbError

CLASSES = sorted(OrmdbError.by_code.values(), key=lambda kind: kind.code)


def test_every_class_of_the_module_is_registered_under_its_code() -> None:
    written = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, OrmdbError) and kind is not OrmdbError
    }
    assert written == set(CLASSES)
    assert all(OrmdbError.by_code[kind.code] is kind for kind in written)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.code)
def test_a_code_is_lowercase_words_joined_by_points(kind: type[OrmdbError]) -> None:
    assert re.fullmatch(r"[a-z_]+(\.[a-z_]+)*", kind.code)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.code)
def test_an_error_survives_pickling_with_its_message_and_details(kind: type[OrmdbError]) -> None:
    error = pickle.loads(pickle.dumps(kind("row 7 is gone", entity="order", fields=("id",))))
    assert type(error) is kind
    assert (str(error), error.entity, error.fields) == ("row 7 is gone", "order", ("id",))


def test_a_detail_that_was_not_given_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="UsageError has no detail 'entity'"):
        _ = errors.UsageError("no").entity


def test_two_classes_cannot_share_a_code() -> None:
    with pytest.raises(AssertionError, match="duplicate error code usage"):
        type("Other", (OrmdbError,), {}, code="usage")


def test_only_errors_of_the_moment_are_retryable() -> None:
    retryable = {kind.code for kind in CLASSES if kind.retryable}
    assert retryable == {
        "txn.conflict",
        "unavailable",
        "storage.full",
        "storage.io",
        "storage.busy",
        "snapshot.expired",
    }
