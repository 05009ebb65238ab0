"""Which clip comes next, and one outcome for each whatever dies."""

from glot_cli.cluster.ledger import ASIDE, BUSY_SECONDS, DONE, FAILED, MOST_BUSY, MOST_DEATHS, WAITING, Ledger, Row
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
    return Ledger(entries, earlier or [], retry, now or Now())


def taken(book: Ledger) -> Row:
    row = book.next()
    assert row is not None
    return row


def test_clips_come_in_order_and_end_as_reported() -> None:
    book = ledger("a", "b")
    first, second = taken(book), taken(book)
    assert (first.video, second.video, book.next(), book.left) == ("a", "b", None, 2)
    book.settle(first, {"state": "done", "people": 2, "frames": 9, "node": "x"})
    book.settle(second, {"state": "failed", "error": "is no video"})
    assert (first.state, first.people, first.node, first.attempts) == (DONE, 2, "x", 1)
    assert (second.state, second.error, book.left) == (FAILED, "is no video", 0)
    assert book.counts == {DONE: 1, FAILED: 1, "running": 0, WAITING: 0}


def test_a_fault_of_the_manifest_is_an_outcome() -> None:
    book = Ledger([(0, Entry("a", "", "is listed before")), (1, Entry("b", "/out/b"))])
    assert (book.rows[0].state, book.rows[0].error, book.left, taken(book).video) == (
        FAILED,
        "is listed before",
        1,
        "b",
    )


def test_a_clip_that_crashes_two_workers_is_set_aside_after_the_others() -> None:
    book = ledger("a", "b")
    book.settle(taken(book), CRASHED)
    other = taken(book)
    assert other.video == "b"
    book.settle(other, {"state": "done"})
    again = taken(book)
    assert (again.video, again.attempts) == ("a", 2)
    book.settle(again, CRASHED)
    assert (again.state, again.crashes, book.left) == (ASIDE, 2, 0)
    assert again.error == "2 workers died at it, the last so: ended by SIGSEGV"


def test_deaths_from_outside_are_forgiven_but_not_for_ever() -> None:
    book = ledger("a")
    for _ in range(MOST_DEATHS - 1):
        book.settle(taken(book), DIED)
        assert book.left == 1
    book.settle(taken(book), DIED)
    row = book.rows[0]
    assert (row.state, row.deaths, row.attempts, book.left) == (ASIDE, MOST_DEATHS, MOST_DEATHS, 0)


def test_a_folder_that_is_busy_is_tried_later_and_not_for_ever() -> None:
    now = Now()
    book = ledger("a", "b", now=now)
    book.settle(taken(book), {"state": "busy", "error": "another glot is writing here"})
    assert taken(book).video == "b" and book.next() is None
    for _ in range(MOST_BUSY - 1):
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
    done, crashing = taken(book), taken(book)
    book.settle(done, {"state": "skipped", "people": 0})
    assert (done.state, done.people, done.attempts, done.ended) == (DONE, 3, 1, 5.0)
    book.settle(crashing, CRASHED)
    assert crashing.state == ASIDE and crashing.attempts == 2


def test_what_was_set_aside_can_be_tried_again() -> None:
    book = ledger("a", earlier=[Row(0, "a", "/out/a", ASIDE, error="x", attempts=2, crashes=2)], retry=True)
    row = taken(book)
    book.settle(row, CRASHED)
    assert (row.state, row.crashes, row.attempts) == (WAITING, 1, 3)


def test_a_clip_that_is_found_finished_was_not_tried() -> None:
    book = ledger("a")
    row = taken(book)
    book.settle(row, {"state": "skipped", "people": 2, "frames": 7})
    assert (row.state, row.attempts, row.people) == (DONE, 0, 2)


def test_stopping_leaves_nothing_at_work() -> None:
    book = ledger("a", "b")
    taken(book)
    book.unwind()
    assert [row.state for row in book.rows] == [WAITING, WAITING] and book.counts["running"] == 0
