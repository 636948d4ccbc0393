"""Many outages, restarts and half-filled gaps in a row: what was missed comes once, what was delivered not again."""

from hypothesis import given
from hypothesis import strategies as st
from support.opcua_park import T0, instrument, point

from parkgate.drivers.opcua.codec import Decoder, Reading
from parkgate.drivers.opcua.filling import Answer, Fill, Limits, Timeline
from parkgate.drivers.opcua.gaps import Delivered
from parkgate.drivers.opcua.plan import plan

TANK = instrument(point("a"), point("b"))
NODES = plan(TANK)
BOTH = frozenset({0, 1})
LAG = 7
"""Milliseconds that the clock of the second node's source is behind."""

steps = st.lists(
    st.tuples(
        st.sampled_from(["read", "lose", "restart", "ask", "ask"]),
        st.integers(1, 12),  # milliseconds until then
        st.lists(st.integers(0, 1), max_size=5),  # what the sources measure meanwhile, evenly in between
    ),
    max_size=60,
)


class World:
    """Two sources with a history, and a gateway that reads their newest values now and then."""

    def __init__(self):
        self.now = T0
        self.kept = {0: [(T0, 0.0)], 1: [(T0 - LAG, 0.0)]}
        self.delivered = Delivered(NODES)
        self.fill = None
        self.live = {0: [], 1: []}
        self.late = {0: [], 1: []}
        self.awaited = {0: set(), 1: set()}
        self.before = None

    def measure(self, ms, places):
        for number, place in enumerate(places, start=1):
            time = self.now + ms * number // (len(places) + 1) - LAG * place
            if time > self.kept[place][-1][0]:
                self.kept[place].append((time, float(time)))
        self.now += ms

    def read(self):
        newest = {place: values[-1] for place, values in self.kept.items()}
        self.delivered.note({place: Reading(value, 0, time) for place, (time, value) in newest.items()}, self.now)
        for place, (time, _) in newest.items():
            if self.before is not None:
                missed = {each for each, _ in self.kept[place] if self.before[place] < each < time}
                self.awaited[place] |= missed
            self.live[place].append(time)
        self.before = None

    def lose(self):
        self.delivered.lose()
        if self.before is None and self.live[0]:
            self.before = {place: max(times) for place, times in self.live.items()}
        if self.fill is not None:
            self.fill.again()

    def restart(self):
        mark, self.delivered, self.fill = self.delivered.mark(), Delivered(NODES), None
        if mark:
            self.delivered.resume(mark)
        self.lose()

    def ask(self):
        if self.fill is None and self.delivered.gaps:
            gap = self.delivered.gaps[0]
            self.fill = Fill(gap, BOTH, Timeline(gap, BOTH, NODES, Decoder(TANK, NODES)), 3, Limits(1, 4))
        if self.fill is None:
            return
        question = self.fill.question()
        (place,) = question.places
        inside = [Reading(value, 0, time) for time, value in self.kept[place] if question.start <= time <= question.end]
        _, there = self.fill.take(question, [Answer(0, inside[: question.count])])
        if there:
            snapshots = list(self.fill.snapshots())
            for each in snapshots:
                for point_, value in enumerate(each.values):
                    if value is not None:
                        self.late[point_].append(each.at)
            self.delivered.advance(self.fill.upto, len(snapshots))
            if self.fill.done:
                self.delivered.fill()
                self.fill = None


@given(steps)
def test_however_it_is_interrupted_each_missed_value_comes_once_and_none_that_was_delivered(told):
    world = World()
    for step, ms, places in told:
        world.measure(ms, places)
        getattr(world, step)()
    world.measure(1, [0, 1])
    world.read()
    for _ in range(5_000):
        if world.fill is None and not world.delivered.gaps:
            break
        world.ask()
    for place in BOTH:
        assert len(world.late[place]) == len(set(world.late[place])), "nothing late comes twice"
        assert not set(world.late[place]) & set(world.live[place]), "nothing comes late that was delivered"
        assert set(world.late[place]) == world.awaited[place]
