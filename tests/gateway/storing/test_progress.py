"""What an uplink has had, against a plain set of rows."""

from hypothesis import given
from hypothesis import strategies as st

from parkgate.gateway.storing.progress import Progress

ranges = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 12)).map(lambda pair: (pair[0], pair[0] + pair[1])))


@given(st.integers(0, 10), ranges)
def test_it_settles_what_a_set_of_rows_would(position, settled):
    progress, rows = Progress(position), set(range(1, position + 1))
    for first, last in settled:
        progress.settle(first, last)
        rows |= set(range(first, last + 1))
        assert {row for row in range(1, 90) if progress.covers(row)} == rows
        assert progress.settled == len(rows)
        assert progress.position == next(row for row in range(90) if row + 1 not in rows)


@given(st.integers(0, 10), ranges)
def test_it_reads_back_what_it_wrote(position, settled):
    progress = Progress(position)
    for first, last in settled:
        progress.settle(first, last)
    again = Progress.parse(progress.position, progress.ahead)
    assert (again.position, again.ahead, again.settled) == (progress.position, progress.ahead, progress.settled)


@given(st.integers(0, 10), ranges, st.integers(100, 120))
def test_the_hole_behind_the_position_ends_before_the_next_settled_row(position, settled, newest):
    progress = Progress(position)
    for first, last in settled:
        progress.settle(first, last)
    end = progress.hole_ends(newest)
    assert not any(progress.covers(row) for row in range(progress.position + 1, end + 1))
    assert end == newest or progress.covers(end + 1)


def test_ranges_that_touch_become_one():
    progress = Progress()
    progress.settle(5, 6)
    progress.settle(9, 9)
    progress.settle(7, 8)
    assert progress.ahead == "[[5,9]]"
    progress.settle(1, 4)
    assert (progress.position, progress.ahead) == (9, "[]")


def test_settling_twice_changes_nothing():
    progress = Progress(4)
    progress.settle(2, 3)
    progress.settle(6, 6)
    progress.settle(6, 6)
    assert (progress.position, progress.ahead, progress.settled) == (4, "[[6,6]]", 5)


@given(st.integers(0, 10), ranges)
def test_it_knows_the_highest_settled_row_and_where_settled_rows_begin_again(position, settled):
    progress, rows = Progress(position), set(range(position + 1))
    for first, last in settled:
        progress.settle(first, last)
        rows |= set(range(first, last + 1))
    assert progress.highest == max(rows)
    beyond = [row for row in rows if row > progress.position]
    assert progress.begins_again == min(beyond, default=progress.position + 1)


@given(st.integers(0, 10), ranges, st.integers(100, 120))
def test_it_knows_where_settled_rows_begin_behind_any_row_and_where_they_end(position, settled, newest):
    progress = Progress(position)
    for first, last in settled:
        progress.settle(first, last)
    for row in range(1, 101):
        begins = progress.settled_from(row, newest)
        assert begins == next((each for each in range(row, newest + 1) if progress.covers(each)), newest + 1)
        if progress.covers(row):
            until = progress.settled_until(row)
            assert all(progress.covers(each) for each in range(row, until + 1))
            assert not progress.covers(until + 1)
