"""One column of every type, edges of the type and NULL among its values."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any, Final

from ormdb.ir.columnar import Columns
from ormdb.ir.value import (
    BoolType,
    BytesType,
    DateType,
    DecimalType,
    DurationType,
    EnumType,
    FloatType,
    IntType,
    JsonType,
    ListType,
    StructField,
    StructType,
    TextType,
    TimestampType,
    TimeType,
    Type,
    UuidType,
)

_UTC: Final = datetime.UTC
_POINT: Final = StructType(
    fields=(
        StructField(name="x", type=IntType()),
        StructField(name="y", type=TextType(), optional=True),
    )
)

SAMPLES: Final[dict[str, tuple[Type, list[Any]]]] = {
    "bool": (BoolType(), [True, None, False]),
    "int": (IntType(), [2**63 - 1, None, -(2**63)]),
    "float": (FloatType(), [1.5, None, float("-inf")]),
    "decimal": (
        DecimalType(precision=38, scale=5),
        [decimal.Decimal("1.50000"), None, decimal.Decimal("-" + "9" * 33 + ".99999")],
    ),
    "text": (TextType(), ["a\0b", None, "é\U0001f600"]),
    "bytes": (BytesType(), [b"", None, b"\0\xff"]),
    "uuid": (UuidType(), [uuid.UUID(int=5), None, uuid.UUID(int=2**128 - 1)]),
    "timestamp": (
        TimestampType(),
        [
            datetime.datetime(1, 1, 1, tzinfo=_UTC),
            None,
            datetime.datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=_UTC),
        ],
    ),
    "date": (DateType(), [datetime.date(1, 1, 1), None, datetime.date(9999, 12, 31)]),
    "time": (TimeType(), [datetime.time(0), None, datetime.time(23, 59, 59, 999_999)]),
    "duration": (
        DurationType(),
        [datetime.timedelta(days=-5), None, datetime.timedelta(microseconds=1)],
    ),
    "enum": (EnumType(variants=("low", "höher")), ["höher", None, "low"]),
    "json": (JsonType(), [{"a": [1, None, 2.0]}, None, "x"]),
    "list": (ListType(item=TextType()), [("a", "b"), None, ()]),
    "struct": (_POINT, [{"x": 1, "y": None}, None, {"x": 2, "y": "z"}]),
}


def sample_columns(*names: str) -> Columns:
    """The samples of these names, of all when none is named."""
    wanted = names or tuple(SAMPLES)
    return Columns(
        names=wanted,
        types=tuple(SAMPLES[name][0] for name in wanted),
        values=tuple(SAMPLES[name][1] for name in wanted),
    )
