"""Values beside rows: folded from related rows or calculated, typed, named and read."""

from __future__ import annotations

from collections.abc import Generator

import pytest

import ormdb
from ormdb import Database, Entity, Field, Many, One, field, many, one
from ormdb.errors import NotLoadedError, QueryError


class Film(Entity):
    id: Field[int] = field(identity=True)
    title: Field[str]
    reviews: Many[Review] = many(inverse="film")


class Review(Entity):
    id: Field[int] = field(identity=True)
    score: Field[int | None] = field(default=None)
    film: One[Film] = one()


@pytest.fixture(scope="module")
def db() -> Generator[Database]:
    with ormdb.open(":memory:", schema=[Film, Review]) as opened:
        opened.insert_many([Film(id=n, title="abc"[n] * (n + 1)) for n in range(3)])
        scores = [(0, 3), (0, 5), (0, None), (1, 1)]
        for number, (film, score) in enumerate(scores):
            opened.insert(Review(id=number, score=score, film=Film.key(film)))
        yield opened


def test_values_are_read_by_what_made_them(db: Database) -> None:
    rating = Film.reviews.avg(Review.score).named("rating")
    good = Film.reviews.where(Review.score > 2).count().named("good")
    result = db.fetch(Film.derive(rating, good))
    assert [(rating.of(film), good.of(film)) for film in result] == [(4.0, 2), (1.0, 0), (None, 0)]
    assert result.to_dicts()[0] == {"id": 0, "title": "a", "rating": 4.0, "good": 2}
    with pytest.raises(NotLoadedError, match="rating"):
        rating.of(db.fetch(Film)[0])


def test_includes_show_values_of_their_own(db: Database) -> None:
    half = (Review.score / 2).named("half")
    result = db.fetch(Film.include(Film.reviews.derive(half)).limit(1))
    assert [half.of(review) for review in result[0].reviews] == [1.5, 2.5, None]


def test_folds_filter_and_order(db: Database) -> None:
    def titles(query: ormdb.Query[Film]) -> list[str]:
        return [film.title for film in db.fetch(query)]

    assert titles(Film.where(Film.reviews.count() > 1)) == ["a"]
    assert titles(Film.where(Film.reviews.max(Review.score) < 5)) == ["bb"]
    assert titles(Film.order_by(Film.reviews.count().desc(), Film.id)) == ["a", "bb", "ccc"]
    assert titles(Film.order_by(Film.reviews.min(Review.score))) == ["ccc", "bb", "a"]
    assert titles(Film.where("reviews.count() == 0")) == ["ccc"]
    assert titles(Film.order_by(Film.reviews.count(Review.score, distinct=True).desc())) == [
        "a",
        "bb",
        "ccc",
    ]


def test_a_fold_is_about_all_rows_of_its_relation() -> None:
    with pytest.raises(QueryError, match="leave its order, limit"):
        Film.reviews.limit(3).count()
    with pytest.raises(QueryError, match="two values are named"):
        Film.derive(Film.reviews.count().named("n"), Film.reviews.sum(Review.score).named("n"))
    assert repr(Film.reviews.where(Review.score > 2).count()).startswith("reviews.count(")


def test_a_name_that_a_field_has_is_refused(db: Database) -> None:
    with pytest.raises(QueryError, match="another name"):
        db.fetch(Film.derive(Film.reviews.count().named("title")))
