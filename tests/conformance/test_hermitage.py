"""The cases of Hermitage, and their like over graphs: no anomaly, in one process and in several."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import cast

import pytest

from tests.conformance.hermitage import COMMITTED, REFUSED, Crew, Processes


@pytest.fixture(scope="module", params=["one process", "several processes"])
def processes(request: pytest.FixtureRequest) -> Generator[Processes | None]:
    if cast("str", request.param) == "one process":
        yield None
        return
    made = Processes()
    yield made
    made.close()


@pytest.fixture
def crew(processes: Processes | None, tmp_path: Path) -> Generator[Crew]:
    made = Crew(str(tmp_path / "hermitage.ormdb"), processes)
    yield made
    made.close()


def test_g0_writes_of_two_transactions_are_never_mixed(crew: Crew) -> None:
    one, two = crew.begin(), crew.begin()
    one.do("set", 1, 11)
    two.do("set", 1, 12)
    one.do("set", 2, 21)
    assert one.do("commit") == COMMITTED
    two.do("set", 2, 22)
    ended = two.do("commit")
    assert crew.after("values") == ({1: 12, 2: 22} if ended == COMMITTED else {1: 11, 2: 21})


def test_g1a_what_is_rolled_back_is_never_read(crew: Crew) -> None:
    one, two = crew.begin(), crew.begin()
    one.do("set", 1, 101)
    assert two.do("values") == {1: 10, 2: 20}
    one.do("rollback")
    assert two.do("values") == {1: 10, 2: 20}
    assert two.do("commit") == COMMITTED
    assert crew.after("values") == {1: 10, 2: 20}


def test_g1b_what_is_written_over_is_never_read(crew: Crew) -> None:
    one, two = crew.begin(), crew.begin()
    one.do("set", 1, 101)
    assert two.do("values") == {1: 10, 2: 20}
    one.do("set", 1, 11)
    assert one.do("commit") == COMMITTED
    assert two.do("values") == {1: 10, 2: 20}
    assert two.do("commit") == COMMITTED


def test_g1c_of_two_that_would_read_in_a_circle_one_is_refused(crew: Crew) -> None:
    one, two = crew.begin(), crew.begin()
    one.do("set", 1, 11)
    two.do("set", 2, 22)
    assert one.do("get", 2) == 20
    assert two.do("get", 1) == 10
    assert one.do("commit") == COMMITTED
    assert two.do("commit") == REFUSED
    assert crew.after("values") == {1: 11, 2: 20}


def test_otv_an_observed_transaction_does_not_vanish(crew: Crew) -> None:
    one, two = crew.begin(), crew.begin()
    one.do("set", 1, 11)
    one.do("set", 2, 19)
    two.do("set", 1, 12)
    assert one.do("commit") == COMMITTED
    three = crew.begin()
    assert three.do("get", 1) == 11
    two.do("set", 2, 18)
    assert three.do("get", 2) == 19
    ended = two.do("commit")
    assert three.do("values") == {1: 11, 2: 19}
    assert three.do("commit") == COMMITTED
    assert crew.after("values") == ({1: 12, 2: 18} if ended == COMMITTED else {1: 11, 2: 19})


def test_pmp_a_row_that_comes_later_does_not_appear_in_a_filter(crew: Crew) -> None:
    one, two = crew.begin(), crew.begin()
    assert one.do("values", "value == 30") == {}
    two.do("insert", 3, 30)
    assert two.do("commit") == COMMITTED
    assert one.do("values", "value % 3 == 0") == {}
    assert one.do("commit") == COMMITTED


def test_pmp_write_a_delete_by_filter_does_not_act_on_rows_it_did_not_find(crew: Crew) -> None:
    one, two = crew.begin(), crew.begin()
    one.do("add to all", 10)
    assert two.do("values", "value == 20") == {2: 20}
    assert two.do("delete where", "value == 20") == 1
    assert one.do("commit") == COMMITTED
    assert two.do("commit") == REFUSED
    assert crew.after("values") == {1: 20, 2: 30}


def test_a_delete_by_filter_alone_comes_before_or_after_the_update(crew: Crew) -> None:
    one, two = crew.begin(), crew.begin()
    one.do("add to all", 10)
    two.do("delete where", "value == 20")
    assert one.do("commit") == COMMITTED
    ended = two.do("commit")
    assert crew.after("values") == ({2: 30} if ended == COMMITTED else {1: 20, 2: 30})


def test_p4_no_update_is_lost(crew: Crew) -> None:
    one, two = crew.begin(), crew.begin()
    assert one.do("get", 1) == 10
    assert two.do("get", 1) == 10
    one.do("set", 1, 11)
    two.do("set", 1, 12)
    assert one.do("commit") == COMMITTED
    assert two.do("commit") == REFUSED
    assert crew.after("get", 1) == 11


def test_g_single_a_reader_sees_one_state(crew: Crew) -> None:
    one, two = crew.begin(), crew.begin()
    assert one.do("get", 1) == 10
    assert two.do("values") == {1: 10, 2: 20}
    two.do("set", 1, 12)
    two.do("set", 2, 18)
    assert two.do("commit") == COMMITTED
    assert one.do("get", 2) == 20
    assert one.do("commit") == COMMITTED


def test_g_single_dependencies_a_reader_by_filters_sees_one_state(crew: Crew) -> None:
    one, two = crew.begin(), crew.begin()
    assert one.do("values", "value % 5 == 0") == {1: 10, 2: 20}
    assert two.do("set where", "value == 10", 12) == 1
    assert two.do("commit") == COMMITTED
    assert one.do("values", "value % 3 == 0") == {}
    assert one.do("commit") == COMMITTED


def test_g_single_write_1_who_read_an_old_state_does_not_delete_in_a_new_one(crew: Crew) -> None:
    one, two = crew.begin(), crew.begin()
    assert one.do("get", 1) == 10
    assert two.do("values") == {1: 10, 2: 20}
    two.do("set", 1, 12)
    two.do("set", 2, 18)
    assert two.do("commit") == COMMITTED
    assert one.do("delete where", "value == 20") in {1, REFUSED}
    assert one.do("commit") == REFUSED
    assert crew.after("values") == {1: 12, 2: 18}


def test_g_single_write_2_who_rolls_back_its_delete_hinders_nobody(crew: Crew) -> None:
    one, two = crew.begin(), crew.begin()
    assert one.do("get", 1) == 10
    assert two.do("values") == {1: 10, 2: 20}
    two.do("set", 1, 12)
    one.do("delete where", "value == 20")
    two.do("set", 2, 18)
    one.do("rollback")
    assert two.do("commit") == COMMITTED
    assert crew.after("values") == {1: 12, 2: 18}


def test_g2_item_of_two_that_read_what_the_other_writes_one_is_refused(crew: Crew) -> None:
    one, two = crew.begin(), crew.begin()
    assert one.do("values", "id in [1, 2]") == {1: 10, 2: 20}
    assert two.do("values", "id in [1, 2]") == {1: 10, 2: 20}
    one.do("set", 1, 11)
    two.do("set", 2, 21)
    assert one.do("commit") == COMMITTED
    assert two.do("commit") == REFUSED
    assert crew.after("values") == {1: 11, 2: 20}


@pytest.mark.parametrize("condition", ["value % 3 == 0", "value > 25", "value in [30, 42]"])
def test_g2_of_two_that_found_nothing_and_insert_one_is_refused(crew: Crew, condition: str) -> None:
    one, two = crew.begin(), crew.begin()
    assert one.do("values", condition) == {}
    assert two.do("values", condition) == {}
    one.do("insert", 3, 30)
    two.do("insert", 4, 42)
    assert one.do("commit") == COMMITTED
    assert two.do("commit") == REFUSED
    assert crew.after("values", condition) == {3: 30}


def test_g2_two_edges_who_read_before_and_writes_after_is_refused(crew: Crew) -> None:
    one, two = crew.begin(), crew.begin()
    assert one.do("values") == {1: 10, 2: 20}
    two.do("set", 2, 25)
    assert two.do("commit") == COMMITTED
    three = crew.begin()
    assert three.do("values") == {1: 10, 2: 25}
    assert three.do("commit") == COMMITTED
    one.do("set", 1, 0)
    assert one.do("commit") == REFUSED
    assert crew.after("values") == {1: 10, 2: 25}


# --- over graphs ------------------------------------------------------------------------------


def test_who_included_children_is_refused_when_one_was_added(crew: Crew) -> None:
    one, two = crew.begin(), crew.begin()
    assert one.do("roles of", 1) == [1, 2]
    two.do("add role", 3, 1, 3)
    assert two.do("commit") == COMMITTED
    assert one.do("roles of", 1) == [1, 2]
    one.do("set", 1, 11)
    assert one.do("commit") == REFUSED


def test_who_included_no_children_is_refused_when_one_was_added(crew: Crew) -> None:
    one, two = crew.begin(), crew.begin()
    assert one.do("roles of", 2) == []
    two.do("add role", 3, 2, 3)
    assert two.do("commit") == COMMITTED
    one.do("set", 1, 11)
    assert one.do("commit") == REFUSED


@pytest.mark.parametrize("first", ["the delete", "the child"])
def test_of_a_restricted_delete_and_a_new_child_one_is_refused(crew: Crew, first: str) -> None:
    one, two = crew.begin(), crew.begin()
    one.do("delete film", 2)
    two.do("add role", 3, 2, 3)
    earlier, later = (one, two) if first == "the delete" else (two, one)
    assert earlier.do("commit") == COMMITTED
    assert later.do("commit") == REFUSED
    films = crew.after("films")
    assert films == ([(1, "one")] if first == "the delete" else [(1, "one"), (2, "two")])


def test_of_two_that_insert_the_same_unique_value_one_is_refused(crew: Crew) -> None:
    one, two = crew.begin(), crew.begin()
    one.do("add film", 3, "three")
    two.do("add film", 4, "three")
    assert one.do("commit") == COMMITTED
    assert two.do("commit") == REFUSED
    assert crew.after("films") == [(1, "one"), (2, "two"), (3, "three")]


def test_of_two_that_insert_the_same_identity_one_is_refused(crew: Crew) -> None:
    one, two = crew.begin(), crew.begin()
    one.do("insert", 3, 30)
    two.do("insert", 3, 31)
    assert one.do("commit") == COMMITTED
    assert two.do("commit") == REFUSED
    assert crew.after("get", 3) == 30


def test_a_unique_value_that_another_gives_up_meanwhile_may_be_taken(crew: Crew) -> None:
    one, two = crew.begin(), crew.begin()
    one.do("title", 2, "three")
    refused = two.do("title", 1, "two")
    assert refused == REFUSED  # it is still taken, where two looks
    assert one.do("commit") == COMMITTED
    three = crew.begin()
    three.do("title", 1, "two")
    assert three.do("commit") == COMMITTED
    assert crew.after("films") == [(1, "two"), (2, "three")]


def test_of_two_that_each_leave_one_edge_of_two_one_is_refused(crew: Crew) -> None:
    """A film keeps an actor, as long as each looks before it deletes a role."""
    one, two = crew.begin(), crew.begin()
    assert one.do("actors of", 1) == [1, 2]
    assert two.do("actors of", 1) == [1, 2]
    one.do("delete role", 1)
    two.do("delete role", 2)
    assert one.do("commit") == COMMITTED
    assert two.do("commit") == REFUSED
    assert crew.after("actors of", 1) == [2]


def test_of_two_that_count_before_they_insert_one_is_refused(crew: Crew) -> None:
    one, two = crew.begin(), crew.begin()
    assert one.do("count", "value < 30") == 2
    assert two.do("count", "value < 30") == 2
    one.do("insert", 3, 1)
    two.do("insert", 4, 2)
    assert one.do("commit") == COMMITTED
    assert two.do("commit") == REFUSED
    assert crew.after("count", "value < 30") == 3


@pytest.mark.parametrize("first", ["the delete", "the child"])
def test_a_cascading_delete_and_a_new_child_leave_no_orphan(crew: Crew, first: str) -> None:
    one, two = crew.begin(), crew.begin()
    one.do("delete film", 2)
    two.do("add review", 2, 2)
    earlier, later = (one, two) if first == "the delete" else (two, one)
    assert earlier.do("commit") == COMMITTED
    ended = later.do("commit")
    assert first == "the child" or ended == REFUSED
    expected = {} if (first == "the delete" or ended == COMMITTED) else {1: 2, 2: 2}
    assert crew.after("reviews") == expected


def test_who_read_the_children_of_a_cascading_delete_is_refused(crew: Crew) -> None:
    one, two = crew.begin(), crew.begin()
    assert one.do("reviews") == {1: 2}
    two.do("delete film", 2)
    assert two.do("commit") == COMMITTED
    one.do("set", 1, 11)
    assert one.do("commit") == REFUSED


@pytest.mark.parametrize("first", ["the delete", "the update"])
def test_a_delete_that_sets_null_and_an_update_of_the_same_row_are_both_seen(
    crew: Crew, first: str
) -> None:
    one, two = crew.begin(), crew.begin()
    one.do("delete film", 2)
    two.do("colour", 1, "blue")
    earlier, later = (one, two) if first == "the delete" else (two, one)
    assert earlier.do("commit") == COMMITTED
    ended = later.do("commit")
    refused = {1: ("red", None)} if first == "the delete" else {1: ("blue", 2)}
    assert crew.after("posters") == ({1: ("blue", None)} if ended == COMMITTED else refused)


def test_of_two_that_connect_the_same_rows_one_finds_the_edge_there(crew: Crew) -> None:
    one, two = crew.begin(), crew.begin()
    assert one.do("connect", 2, 3) == 1
    assert two.do("connect", 2, 3) == 1
    assert one.do("commit") == COMMITTED
    assert two.do("commit") == REFUSED
    assert crew.after("actors of", 2) == [3]


def test_of_two_that_disconnect_after_they_looked_one_is_refused(crew: Crew) -> None:
    one, two = crew.begin(), crew.begin()
    assert one.do("actors of", 1) == [1, 2]
    assert two.do("actors of", 1) == [1, 2]
    assert one.do("disconnect", 1, 1) == 1
    assert two.do("disconnect", 1, 2) == 1
    assert one.do("commit") == COMMITTED
    assert two.do("commit") == REFUSED
    assert crew.after("actors of", 1) == [2]


@pytest.mark.parametrize("first", ["the restored", "the new"])
def test_of_a_restored_row_and_a_new_one_with_its_unique_value_one_is_refused(
    crew: Crew, first: str
) -> None:
    one, two = crew.begin(), crew.begin()
    one.do("restore login", 1)
    two.do("add login", 3, "ada")
    earlier, later = (one, two) if first == "the restored" else (two, one)
    assert earlier.do("commit") == COMMITTED
    assert later.do("commit") == REFUSED
    kept = {1: "ada"} if first == "the restored" else {3: "ada"}
    assert crew.after("logins") == kept | {2: "bob"}


def test_of_two_that_restore_the_same_row_one_is_refused(crew: Crew) -> None:
    one, two = crew.begin(), crew.begin()
    one.do("restore login", 1)
    two.do("restore login", 1)
    assert one.do("commit") == COMMITTED
    assert two.do("commit") == REFUSED
    assert crew.after("logins") == {1: "ada", 2: "bob"}


def test_who_did_not_find_a_row_that_is_restored_is_refused(crew: Crew) -> None:
    one, two = crew.begin(), crew.begin()
    assert one.do("login", "ada") == []
    two.do("restore login", 1)
    assert two.do("commit") == COMMITTED
    assert one.do("login", "ada") == []
    one.do("set", 1, 11)
    assert one.do("commit") == REFUSED


def test_who_found_a_row_that_is_deleted_softly_is_refused(crew: Crew) -> None:
    one, two = crew.begin(), crew.begin()
    assert one.do("logins") == {2: "bob"}
    two.do("delete login", 2)
    assert two.do("commit") == COMMITTED
    assert one.do("logins") == {2: "bob"}
    one.do("set", 1, 11)
    assert one.do("commit") == REFUSED


def test_a_name_that_was_given_up_softly_may_be_taken(crew: Crew) -> None:
    one = crew.begin()
    one.do("delete login", 2)
    one.do("add login", 3, "bob")
    assert one.do("commit") == COMMITTED
    two = crew.begin()
    assert two.do("restore login", 2) == REFUSED
    assert crew.after("logins") == {3: "bob"}
