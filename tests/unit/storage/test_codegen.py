"""Holds that generated code holds no text of a user, and that its cache is bounded."""

from __future__ import annotations

import linecache
import traceback

import pytest

from ormdb import limits
from ormdb.ir.value import EnumType, IntType, TextType
from ormdb.storage import codegen
from ormdb.storage.codegen import compile_function
from ormdb.storage.keys import KeyColumn, compile_batch_key_encoder


def test_bindings_are_the_globals_of_the_function() -> None:
    source = "def keep(rows):\n    return [r for r in rows if r > c0]\n"
    assert compile_function(source, "keep", {"c0": 2})([1, 2, 3]) == [3]


def test_two_functions_of_one_source_have_their_own_bindings() -> None:
    source = "def value():\n    return c0\n"
    first, second = (compile_function(source, "value", {"c0": n}) for n in (1, 2))
    assert (first(), second()) == (1, 2)


@pytest.mark.parametrize(
    "source",
    [
        "def f(r):\n    return 'x'\n",
        "def f(r):\n    return b'x'\n",
        "def f(r):\n    return f'{r}'\n",
        "def f(r):\n    'doc'\n    return r\n",
        "def f(r):\n    return r.é\n",
        "def f(r):\n    return r.a0b1\n",
        "def f(r):\n    return r.this_name_is_far_too_long_for_us\n",
        "def f(r):\n    return {'a': r}\n",
        "def f(r):\n    import os\n    return r\n",
        "def f(r):\n    global x\n    return r\n",
        "class f:\n    pass\n",
    ],
)
def test_source_with_text_in_it_is_refused(source: str) -> None:
    with pytest.raises(AssertionError):
        compile_function(source, "f", {})


def test_an_attribute_may_be_given_any_name_without_being_part_of_the_source() -> None:
    source = "def put(o):\n    o.n0_ = 1\n    return o\n"

    class Thing:
        pass

    hostile = '"); import os #'
    first = compile_function(source, "put", {}, attributes={"n0_": hostile})
    second = compile_function(source, "put", {}, attributes={"n0_": "other"})
    assert vars(first(Thing())) == {hostile: 1}
    assert vars(second(Thing())) == {"other": 1}
    assert vars(compile_function(source, "put", {})(Thing())) == {"n0_": 1}


def test_generated_code_reaches_no_dangerous_builtin() -> None:
    for name in ("eval", "exec", "open", "getattr", "compile", "globals"):
        function = compile_function(f"def f():\n    return {name}\n", "f", {})
        with pytest.raises(NameError):
            function()


def test_names_of_the_user_never_reach_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    plain = codegen._compile  # pyright: ignore[reportPrivateUsage]

    def spy(source: str, filename: str) -> object:
        seen.append(source)
        return plain(source, filename)

    monkeypatch.setattr(codegen, "_compile", spy)
    hostile = EnumType(variants=('"); import os #', "b"))
    for kind in (hostile, EnumType(variants=("a", "b")), TextType(max_chars=31337)):
        columns = [KeyColumn(type=kind), *[KeyColumn(type=IntType())] * 3]
        compile_batch_key_encoder(columns, ["r.s901", "r.s902", "r.s903", "r.s904"])
    # Both enums give one source, which is therefore compiled once.
    assert len(seen) == 2
    assert not any("import" in source or "31337" in source for source in seen)


def test_a_traceback_shows_the_generated_line() -> None:
    broken = compile_function("def broken(r):\n    return r.s1 + r.s2\n", "broken", {})
    with pytest.raises(AttributeError) as caught:
        broken(object())
    linecache.checkcache()
    assert "return r.s1 + r.s2" in "".join(traceback.format_exception(caught.value))


def test_the_cache_forgets_the_source_used_longest_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codegen, "_CODE", codegen._CodeCache())  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(limits, "GENERATED_CODE_ENTRIES_MAX", 3)
    before = _registered()
    for n in range(10):
        compile_function(f"def f():\n    return {n}\n", "f", {})
    assert codegen.source_count() == 3
    assert _registered() - before == 3


def _registered() -> int:
    return sum(name.startswith("<ormdb generated") for name in linecache.cache)
