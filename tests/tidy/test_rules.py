"""Every file obeys every rule, and every rule finds the violation planted for it."""

from __future__ import annotations

import pytest

from tests.tidy import rules
from tests.tidy.rules import RULES, Rule
from tests.tidy.tree import Source, read_tree

LONG_BODY = "    pass\n" * 60

# Rule -> files that break it.
PLANTED: dict[Rule, tuple[Source, ...]] = {
    rules.modules_are_short: (Source("ormdb/x.py", "x = 1\n" * 601),),
    rules.functions_are_short: (
        Source("ormdb/x.py", f"def load():\n{LONG_BODY}"),
        Source("tests/x.py", f"class A:\n  async def load(self):\n{LONG_BODY}"),
    ),
    rules.lines_are_short: (Source("ormdb/x.py", "x = '" + "x" * 100 + "'\n"),),
    rules.positional_parameters_are_few: (
        Source("ormdb/x.py", "def f(a, b, c, d, e, f):\n    pass\n"),
        Source("ormdb/x.py", "class A:\n    def f(self, a, b, c, d, e, f):\n        pass\n"),
    ),
    rules.names_say_something: (
        Source("ormdb/storage/utils.py", ""),
        Source("ormdb/common/x.py", ""),
        Source("ormdb/lmdb_helpers.py", ""),
        Source("ormdb/x.py", "class LockManager:\n    pass\n"),
    ),
    rules.ignores_name_their_rule: (
        Source("ormdb/x.py", "x = 1  # type: ignore\n"),
        Source("ormdb/x.py", "x = 1  # pyright: ignore\n"),
        Source("ormdb/x.py", "x = 1  # noqa\n"),
    ),
    rules.exceptions_are_caught_by_name: (
        Source("ormdb/x.py", "try:\n    f()\nexcept Exception as e:\n    raise X from e\n"),
        Source("ormdb/x.py", "try:\n    f()\nexcept:\n    pass\n"),
        Source("tests/x.py", "try:\n    f()\nexcept BaseException:\n    g()\n"),
    ),
    rules.nothing_is_left_for_later: (
        Source("docs/x.md", "TODO: write this\n"),
        Source("ormdb/x.py", "def f():\n    raise NotImplementedError\n"),
        Source("ormdb/x.py", "x = 1  # pragma: no cover\n"),
    ),
    rules.modules_open_with_an_essay: (
        Source("ormdb/x.py", "x = 1\n"),
        Source("tests/unit/test_x.py", "x = 1\n"),
        Source("ormdb/x.py", '"""One line."""\n' + "x = 1\n" * 120),
    ),
    rules.named_tests_exist: (
        Source("ormdb/x.py", '"""X.\n\nInvariants (held by tests/unit/test_gone.py):\n"""\n'),
    ),
    rules.code_is_generated_in_one_place: (
        Source("ormdb/x.py", "exec('x = 1')\n"),
        Source("ormdb/x.py", "compile('x', '', 'exec')\n"),
        Source("ormdb/storage/codegen.py", "eval('x')\n"),
    ),
    rules.pickles_are_never_read: (
        Source("ormdb/x.py", "import pickle\n"),
        Source("ormdb/x.py", "def f():\n    from marshal import loads\n"),
    ),
    rules.test_names_are_sentences: (Source("tests/test_x.py", "def test_a_row():\n    pass\n"),),
    rules.tests_never_sleep: (Source("tests/x.py", "import time\ntime.sleep(1)\n"),),
    rules.paths_of_one_machine_stay_out: (
        Source("docs/x.md", "see /home/me/ormdb\n"),
        Source("Makefile", "INDEX = https://pypi.org/simple\n"),
    ),
    rules.reasons_stand_on_their_own: (Source("ormdb/x.py", "x = 1  # for issue #3\n"),),
}

ALLOWED = (
    Source("ormdb/x.py", f"def load():  # long because: one table\n{LONG_BODY}"),
    Source("ormdb/x.py", "def f(a, b, c, d, e, *, f, g):\n    pass\n"),
    Source(
        "ormdb/x.py", "x = 1  # type: ignore[misc]" + " " * 90 + "\nimport re\nre.compile('x')\n"
    ),
    Source("ormdb/x.py", "try:\n    f()\nexcept BaseException:\n    undo()\n    raise\n"),
    Source("ormdb/storage/codegen.py", "exec('x = 1')\n"),
    Source("docs/x.md", "ormdb/work/x, https://example.com/home/x and baseline\n"),
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_file_of_the_project_breaks_the_rule(rule: Rule) -> None:
    found = [sentence for source in read_tree() for sentence in rule(source)]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_finds_each_violation_planted_for_it(rule: Rule) -> None:
    missed = [source for source in PLANTED[rule] if not list(rule(source))]
    assert not missed


def test_no_rule_finds_what_is_allowed() -> None:
    essay = {rules.modules_open_with_an_essay}
    found = [
        sentence
        for source in ALLOWED
        for rule in RULES
        if rule not in essay
        for sentence in rule(source)
    ]
    assert not found


def test_every_rule_of_the_module_is_listed() -> None:
    written = [
        value
        for name, value in vars(rules).items()
        if callable(value) and not name.startswith("_") and value.__module__ == rules.__name__
    ]
    assert set(written) == set(RULES) == set(PLANTED)


def test_the_tree_holds_the_files_that_matter() -> None:
    paths = {source.path for source in read_tree()}
    assert {"README.md", "Makefile", ".ci/run", "ormdb/errors.py", "tests/conftest.py"} <= paths
