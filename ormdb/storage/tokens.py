"""The tokens under which an inverted or a full text index keeps a row, as keys.

    tags ("new", "old", "new")                 new, old              each item once
    data {"size": {"x": 1}, "tags": ["a"]}     key size, key size/x, size/x = 1,
                                               key tags, tags/[] = "a"
    notes "Storms delayed flights"             storm, delay, flight

Of JSON there is one token for each key, with the path of keys to it, and one for each scalar, with
the path to it; a list is a step that forgets the position.  So whatever a document contains, it has
the tokens of, and the other way round only mostly: {"a": [{"x": 1}, {"y": 2}]} has the tokens of
{"a": [{"x": 1, "y": 2}]}.  Whoever reads such an index asks each row again.

Tokens are sought by equality only.  Long ones are cut and completed by a hash like all keys.

Invariants (held by tests/property/test_tokens.py):
  1. A row for which a function is true is under every token that is sought for that function.
  2. Equal items, and equal scalars at one path, have one token: 1 and 1.0 in JSON among them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias, cast

from ormdb.ir.search import Search, tokens_of
from ormdb.ir.value import Type, Value
from ormdb.storage.key_ranges import cut_key
from ormdb.storage.key_values import encode_value

Tokens: TypeAlias = frozenset[bytes]

_KEY: Final = b"\x01"
_SCALAR: Final = b"\x02"
_ITEM_STEP: Final = b"\x01"
_KEY_STEP: Final = b"\x02"
_STEP_END: Final = b"\x00\x00"
_PATH_END: Final = b"\x00"
_pack_double: Final = struct.Struct(">d").pack
NO_TOKENS: Final[Tokens] = frozenset()


def list_encoder(item: Type) -> Callable[[Value], Tokens]:
    """A function from a stored list to its tokens."""

    def encode(items: Value) -> Tokens:
        return frozenset(item_token(item, each) for each in set(items))

    return encode


def item_token(item: Type, value: Value) -> bytes:
    """The token of one stored item."""
    return cut_key(encode_value(item, value, nullable=False))


def json_tokens(document: Value) -> Tokens:
    """The tokens of a JSON value."""
    return frozenset(map(cut_key, _document_tokens(document, b"", is_root=True)))


def key_token(key: str) -> bytes:
    """The token of every object that has a key, outermost."""
    return cut_key(_KEY + _key_step(key))


def contained_tokens(part: Value) -> Tokens:
    """The tokens of every JSON value that contains a part; none where it asks for no key and no
    scalar."""
    return frozenset(map(cut_key, _part_tokens(part, b"", _KEY)))


def text_tokens(texts: Sequence[Value]) -> Tokens:
    """The tokens of texts that are searched together, those that are NULL left out."""
    present = [text for text in texts if text is not None]
    return word_tokens(tokens_of(" ".join(present))) if present else NO_TOKENS


def word_tokens(words: Iterable[str]) -> Tokens:
    """The keys of the tokens of a text, or of a search."""
    return frozenset(cut_key(word.encode()) for word in words)


def sought_tokens(item: Type | None, function: str, asked: Any) -> Tokens | None:
    """The tokens of every row for which a function is true of what the index is over.

    Args:
      item: the type of the list's items, if it is a list.
      function: has, has_key, contains_json or matches.
      asked: what it asks with, as `asking.Question` has prepared it.

    Returns:
      None where nothing is known of such rows; no tokens where there are no such rows.
    """
    match function:
        case "has":
            assert item is not None, "only a list has items"
            return frozenset((item_token(item, asked),))
        case "has_key":
            return frozenset((key_token(asked),))
        case "matches":
            return word_tokens(cast("Search", asked).tokens)
        case _:
            return contained_tokens(asked) or None


def _document_tokens(value: Any, path: bytes, *, is_root: bool = False) -> Iterator[bytes]:
    if isinstance(value, dict):
        for key, held in cast("dict[str, Any]", value).items():
            here = path + _key_step(key)
            yield _KEY + here
            yield from _document_tokens(held, here)
    elif isinstance(value, list | tuple):
        for held in cast("Sequence[Any]", value):
            if is_root and not isinstance(held, dict | list | tuple):
                yield _scalar_token(held, path)  # the outermost list contains a bare scalar
            yield from _document_tokens(held, path + _ITEM_STEP)
    else:
        yield _scalar_token(value, path)


def _part_tokens(part: Any, path: bytes, above: bytes) -> Iterator[bytes]:
    """`above` is the token of the last key on the path; alone it says nothing."""
    if isinstance(part, dict):
        for key, held in cast("dict[str, Any]", part).items():
            here = path + _key_step(key)
            yield from _part_tokens(held, here, _KEY + here)
    elif isinstance(part, list | tuple):
        for held in cast("Sequence[Any]", part):
            yield from _part_tokens(held, path + _ITEM_STEP, above)
    else:
        yield _scalar_token(part, path)
        return
    if not part and above != _KEY:
        yield above


def _key_step(key: str) -> bytes:
    return _KEY_STEP + key.encode().replace(b"\x00", b"\x00\xff") + _STEP_END


def _scalar_token(value: Value, path: bytes) -> bytes:
    return _SCALAR + path + _PATH_END + _scalar(value)


def _scalar(value: Value) -> bytes:
    """Equal bytes for equal JSON scalars: 1 equals 1.0, and true equals neither."""
    match value:
        case None:
            return b"n"
        case bool():
            return b"t" if value else b"f"
        case str():
            return b"s" + value.encode()
        case float() if not value.is_integer():
            return b"d" + _pack_double(value)
        case _:
            return b"i" + str(int(value)).encode()
