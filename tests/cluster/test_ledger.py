"""Which clip comes next, and one outcome for each whatever dies."""

import pytest

from glot_cli.cluster import ledger as books
from glot_cli.cluster.ledger import ASIDE, BUSY_SECONDS, DONE, FAILED, MOST_DEATHS, WAITING, Ledger, Row, Work
from glot_cli.cluster.manifest import Entry

DIED = {"state": "died", "crashed": False, "error": "ended by SIGKILL", "node": "here"}
CRASHED = {**DIED, "crashed": True, "error": "ended by SIGSEGV"}


class Now:
    """A clock that is set."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def ledger(*videos: str, earlier: list[Row] | None = None, retry: bool = False, now: Now | None = None) -> Ledger:
    entries = [(number, Entry(video, f"/out/{video}")) for number, video in enumerate(videos)]
    now = now or Now()
    return Ledger(entries, earlier or [], retry, clock=now, timer=now)


def taken(book: Ledger) -> Work:
    work = book.next()
    assert work is not None
    return work


def test_clips_come_in_order_and_end_as_reported() -> None:
    book = ledger("a", "b")
    first, second = taken(book), taken(book)
    assert (first.row.video, second.row.video, book.next(), book.left) == ("a", "b", None, 2)
    book.settle(first, {"state": "done", "people": 2, "frames": 9, "node": "x"})
    book.settle(second, {"state": "failed", "error": "is no video"})
    assert (first.row.state, first.row.people, first.row.node, first.row.attempts) == (DONE, 2, "x", 1)
    assert (second.row.state, second.row.error, book.left) == (FAILED, "is no video", 0)
    assert book.counts == {DONE: 1, FAILED: 1, "running": 0, WAITING: 0}


def test_a_fault_of_the_manifest_is_an_outcome() -> None:
    book = Ledger([(0, Entry("a", "", "is listed before")), (1, Entry("b", "/out/b"))])
    assert (book.rows[0].state, book.rows[0].error, book.left, taken(book).row.video) == (
        FAILED,
        "is listed before",
        1,
        "b",
    )


def test_a_clip_that_crashes_two_workers_is_set_aside_after_the_others() -> None:
    book = ledger("a", "b")
    book.settle(taken(book), CRASHED)
    other = taken(book)
    assert other.row.video == "b"
    book.settle(other, {"state": "done"})
    again = taken(book)
    assert (again.row.video, again.row.attempts) == ("a", 2)
    book.settle(again, CRASHED)
    assert (again.row.state, again.row.crashes, book.left) == (ASIDE, 2, 0)
    assert again.row.error == "2 workers died at it, the last so: ended by SIGSEGV"


def test_deaths_from_outside_are_forgiven_but_not_for_ever() -> None:
    book = ledger("a")
    for _ in range(MOST_DEATHS - 1):
        book.settle(taken(book), DIED)
        assert book.left == 1
    book.settle(taken(book), DIED)
    row = book.rows[0]
    assert (row.state, row.deaths, row.attempts, book.left) == (ASIDE, MOST_DEATHS, MOST_DEATHS, 0)


def test_a_folder_that_is_busy_is_tried_later_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "MOST_BUSY", 3)
    now = Now()
    book = ledger("a", "b", now=now)
    book.settle(taken(book), {"state": "busy", "error": "another glot is writing here"})
    assert taken(book).row.video == "b" and book.next() is None
    for _ in range(2):
        now.time += BUSY_SECONDS
        book.settle(taken(book), {"state": "busy", "error": "another glot is writing here"})
    row = book.rows[0]
    assert (row.state, row.error, row.attempts) == (FAILED, "another glot is writing here", 0)


def test_counts_outlive_the_driver() -> None:
    rows = [
        Row(0, "a", "/out/a", "running", attempts=1, crashes=1),
        Row(1, "b", "/out/b", ASIDE, error="2 workers died", attempts=2, crashes=2),
        Row(2, "c", "/out/c", DONE, people=3, attempts=1, ended=5.0),
        Row(3, "d", "/out/d", FAILED, error="is no video", attempts=1),
    ]
    book = ledger("c", "a", "b", "d", "new", earlier=rows)
    assert [row.state for row in book.rows] == [WAITING, WAITING, ASIDE, WAITING, WAITING]
    assert book.done_before == {0}
    done, *others, crashing = (taken(book) for _ in range(4))  # it was at work when the driver died: it comes last
    assert [work.row.video for work in others] == ["d", "new"]
    book.settle(done, {"state": "skipped", "people": 0})
    assert (done.row.state, done.row.people, done.row.attempts, done.row.ended) == (DONE, 3, 1, 5.0)
    book.settle(crashing, CRASHED)
    assert crashing.row.state == ASIDE and crashing.row.attempts == 2


def test_what_was_set_aside_can_be_tried_again() -> None:
    book = ledger("a", earlier=[Row(0, "a", "/out/a", ASIDE, error="x", attempts=2, crashes=2)], retry=True)
    work = taken(book)
    row = work.row
    book.settle(work, CRASHED)
    assert (row.state, row.crashes, row.attempts) == (WAITING, 1, 3)


def test_a_clip_that_is_found_finished_was_not_tried() -> None:
    book = ledger("a")
    work = taken(book)
    row = work.row
    book.settle(work, {"state": "skipped", "people": 2, "frames": 7})
    assert (row.state, row.attempts, row.people) == (DONE, 0, 2)


def test_stopping_leaves_nothing_at_work() -> None:
    book = ledger("a", "b")
    taken(book)
    book.unwind()
    assert [row.state for row in book.rows] == [WAITING, WAITING] and book.counts["running"] == 0


def test_what_was_done_stays_so_in_the_table_until_somebody_has_looked() -> None:
    rows = [Row(0, "a", "/out/a", DONE, people=3, warnings=["x"], ended=5.0), Row(1, "b", "/out/b", DONE, began=4.0)]
    book = ledger("a", "b", "c", earlier=rows)
    assert [row.state for row in book.told()] == [DONE, DONE, WAITING] and book.left == 3
    book.settle(taken(book), {"state": "failed", "error": "is gone"})
    assert (book.rows[0].people, book.rows[0].warnings, book.rows[0].error) == (None, [], "is gone")
    second = taken(book)
    assert [row.state for row in book.told()] == [FAILED, DONE, WAITING] and book.told()[1] == rows[1]
    book.settle(second, {"state": "skipped", "people": 0})
    assert book.rows[1] == rows[1]
    entries = [(number, Entry(row.video, row.folder)) for number, row in enumerate(rows)]
    assert [row.state for row in Ledger(entries, rows, keep=False).told()] == [WAITING, WAITING]


CUT = {"state": "cut", "pieces": 2, "stages": [("follow", 2), ("join", 1), ("draw", 2)]}
STEPPED = {"state": "stepped", "node": "x"}


def cut(*others: str) -> tuple[Ledger, list[Work]]:
    """A clip that was cut, before others, and its first steps."""
    book = ledger("long", *others)
    book.settle(taken(book), CUT)
    return book, [taken(book), taken(book)]


def test_steps_of_a_clip_wait_for_those_before_and_come_before_other_clips() -> None:
    book, steps = cut("b")
    row = book.rows[0]
    assert [(step.row, step.stage, step.piece) for step in steps] == [(row, "follow", 0), (row, "follow", 1)]
    other = taken(book)
    assert other.row.video == "b" and book.next() is None
    book.settle(steps[1], STEPPED)
    assert book.next() is None and (row.pieces, row.progress, row.node) == (2, 0.2, "x")
    book.settle(steps[0], STEPPED)
    book.settle(join := taken(book), STEPPED)
    assert join.stage == "join" and row.progress == 0.6
    drawn = [taken(book), taken(book)]
    assert [step.stage for step in drawn] == ["draw", "draw"]
    book.settle(drawn[0], {"state": "done", "people": 2, "frames": 9})
    assert (row.state, row.attempts, row.people, row.progress, book.left) == (DONE, 1, 2, 1.0, 1)


def test_a_step_that_dies_is_taken_again_and_a_bad_one_decides() -> None:
    book, (first, second) = cut()
    row = book.rows[0]
    book.settle(first, DIED)
    again = taken(book)
    assert again is first and (row.state, row.attempts, row.deaths) == ("running", 2, 1)
    for _ in range(MOST_DEATHS - 2):  # deaths are counted by the step: a long clip has many
        book.settle(first, DIED)
        assert taken(book) is first
    book.settle(second, DIED)
    assert taken(book) is second and row.deaths == MOST_DEATHS
    book.settle(second, CRASHED)
    book.settle(first, STEPPED)
    assert taken(book) is second
    book.settle(second, CRASHED)
    assert (row.state, row.crashes, book.left, book.next()) == (ASIDE, 2, 0, None)
    assert row.error == "2 workers died at it, the last so: ended by SIGSEGV"


def test_a_step_that_fails_ends_the_clip_and_late_steps_change_nothing() -> None:
    book, (first, second) = cut("b")
    book.settle(first, {"state": "failed", "error": "is damaged"})
    row = book.rows[0]
    assert (row.state, row.error, taken(book).row.video) == (FAILED, "is damaged", "b")
    book.settle(second, STEPPED)
    assert (row.state, row.pieces, book.left, book.next()) == (FAILED, 2, 1, None)


def test_a_worker_that_was_not_ready_has_not_tried() -> None:
    book = ledger("a", "b")
    book.settle(first := taken(book), {"state": "unready", "node": "x"})
    assert (first.row.state, first.row.attempts, first.row.deaths) == (WAITING, 0, 0)
    assert taken(book) is first and first.row.attempts == 1


def test_steps_that_wait_and_drivers_that_die_are_not_counted_as_tries() -> None:
    now = Now()
    book = ledger("long", now=now)
    book.settle(taken(book), CUT)
    first, second = taken(book), taken(book)
    book.settle(second, STEPPED)
    book.settle(first, DIED)
    for _ in range(20):
        assert taken(book) is first and book.rows[0].attempts == 2
        book.settle(first, {"state": "busy", "error": "another glot is writing here"})
        assert book.rows[0].attempts == 1
        now.time += BUSY_SECONDS
    many = Row(0, "long", "/out/long", "running", pieces=9, attempts=6, deaths=MOST_DEATHS)
    again = ledger("long", earlier=[many])
    again.settle(taken(again), DIED)
    assert (again.rows[0].state, again.rows[0].deaths) == (WAITING, MOST_DEATHS + 1)
    again.settle(taken(again), {"state": "done", "people": 1})  # run whole this time
    assert (again.rows[0].pieces, again.rows[0].progress) == (None, None)
