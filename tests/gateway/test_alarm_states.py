"""Nothing loses or clears a latched alarm that nobody acknowledged: whatever is read, refused or started again."""

import sqlite3

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from support.alarm_bench import START, alarm, instrument

from parkgate.config.flag import Flag
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.messages import alarms
from parkgate.gateway.processing.alarms import Restored, State, Watch
from parkgate.gateway.storing.migrations import create
from parkgate.gateway.storing.standing_alarms import StandingAlarms

KEY = ("gas", "high")
SECONDS = st.integers(0, 200).map(lambda tenths: tenths / 8)
VALUES = st.sampled_from([0.0, 8.0, 9.5, 10.0, 15.0, 99.0, 140.0, None])
FLAGS = st.none() | st.sampled_from(list(Flag))


class LatchedAlarm(RuleBasedStateMachine):
    """One latching alarm, its records in a real table, and who must still acknowledge what."""

    def __init__(self):
        super().__init__()
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        create(self.connection)
        self.table = StandingAlarms(self.connection)
        self.now, self.seq = 0.0, 0
        self.owed = False

    def teardown(self):
        self.connection.close()

    @initialize(delay=st.integers(0, 5), off_delay=st.integers(0, 5), deadband=st.integers(0, 3))
    def started(self, delay, off_delay, deadband):
        self.configure(delay, off_delay, deadband)

    def configure(self, delay, off_delay, deadband, limit=10.0):
        configured = alarm(
            above=limit, deadband=float(deadband), delay=delay * 1000, off_delay=off_delay * 1000, latch=True
        )  # fmt: skip
        kept = [alarms.told(name, body) for name, _, _, body in self.table.all()]
        standing = {key[1:]: Restored.of(entry) for key, entry in kept}
        self.watch = Watch(instrument(configured), standing)

    def store(self, found, *, taken):
        """Store what was decided as a gateway does, or have it refused: then it has not happened."""
        for each in found:
            if taken:
                self.seq += 1
                body = alarms.transition("s", "0001-abcdef", each.at, "00000000", each.fields())(self.seq, 1)
                self.table.note([("gas-1", body)])
                self.watch.apply(each)
                if each.fields()["state"] == "active" and not each.acknowledged:
                    self.owed = True

    @rule(value=VALUES, flag=FLAGS, seconds=SECONDS, taken=st.booleans())
    def read(self, value, flag, seconds, taken):
        self.now += seconds
        flags = {0: flag or Flag.FAULT} if value is None or flag else {}
        snapshot = Snapshot("gas-1", START + round(self.now * 1000), (value,), flags)
        found = self.watch.take(snapshot, self.now)
        assert not found or flags.get(0, Flag.OUT_OF_RANGE) is Flag.OUT_OF_RANGE, "what may not be used changes nothing"
        self.store(found, taken=taken)

    @rule(value=VALUES)
    def read_what_says_nothing_of_now(self, value):
        late = Snapshot("gas-1", START, (value,), {0: Flag.FAULT} if value is None else {}, late=True)
        absent = Snapshot("gas-1", START, (None,), absent=frozenset({0}))
        assert list(self.watch.take(late, self.now)) == list(self.watch.take(absent, self.now)) == []

    @rule(seconds=SECONDS, taken=st.booleans())
    def wait(self, seconds, taken):
        self.now += seconds
        self.store(self.watch.due(self.now, START + round(self.now * 1000)), taken=taken)

    @rule(taken=st.booleans())
    def acknowledge(self, taken):
        found = self.watch.acknowledge(START + round(self.now * 1000))
        self.store(found, taken=taken)
        if taken and found:
            self.owed = False

    @rule(
        delay=st.integers(0, 5), off_delay=st.integers(0, 5), deadband=st.integers(0, 3), limit=st.integers(5, 60)
    )  # fmt: skip
    def start_again_with_another_configuration(self, delay, off_delay, deadband, limit):
        self.now += 100
        self.configure(delay, off_delay, deadband, float(limit))

    @invariant()
    def what_is_owed_stands_and_says_so(self):
        if not hasattr(self, "watch"):
            return
        kept = [alarms.told(name, body) for name, _, _, body in self.table.all()]
        state = self.watch.states()[KEY]
        if self.owed:
            assert state in {State.UNACKNOWLEDGED, State.LATCHED}
            ((place, entry),) = kept
            assert place == ("gas-1", *KEY)
            assert (entry["state"], entry["acknowledged"], entry["latched"]) == ("active", False, True)
        assert bool(kept) is (state is not State.NORMAL)


LatchedAlarm.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestLatchedAlarm = LatchedAlarm.TestCase
