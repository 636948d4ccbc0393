"""One instrument with alarms, readings for it, and the alarms' own changes as their records say them."""

from parkgate.config.alarm import Alarm
from parkgate.config.flag import Flag
from parkgate.config.profile import Point
from parkgate.config.site import Instrument
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.processing.alarms import Watch

START = 1_763_890_000_000


def alarm(name="high", **keys):
    """An alarm as a file has it, its durations in ms."""
    return Alarm.model_validate({"name": name, **keys})


def instrument(*alarms, name="gas-1", kind="float32", span=(0, 100), more=(), every="1s", **point):
    """An instrument whose first point is `gas` with these alarms; `more` are further points."""
    first = Point(name="gas", at="input 0", type=kind, range=span, alarms=alarms, **point)
    return Instrument(
        name=name, line="cems", every=every, profile="p", protocol="modbus", points=(first, *more)
    )  # fmt: skip


class Bench:
    """A watch of one instrument, and the time; what it decides is applied at once, as if every record were taken."""

    def __init__(self, *alarms, standing=None, **about):
        self.instrument = instrument(*alarms, **about)
        self.watch = Watch(self.instrument, standing or {})
        self.now = 0.0

    @property
    def at(self):
        return START + round(self.now * 1000)

    def _applied(self, found):
        for each in found:
            self.watch.apply(each)
        return [each.fields() for each in found]

    def read(self, value=None, flag: Flag | None = None, *, after=1.0, **about):
        """Read so many seconds later: a value, a flag, or both; give the records of what changed."""
        self.now += after
        flags = {} if flag is None else {0: flag}
        values = (value, *(0 for _ in self.instrument.points[1:]))
        return self._applied(
            self.watch.take(Snapshot(self.instrument.name, self.at, values, flags, **about), self.now)
        )  # fmt: skip

    def wait(self, seconds):
        """Let time pass without a reading."""
        self.now += seconds
        return self._applied(self.watch.due(self.now, self.at))

    def acknowledge(self, *names):
        return self._applied(self.watch.acknowledge(self.at, *names))

    @property
    def states(self):
        return {name: state.value for (_, name), state in self.watch.states().items()}

    @property
    def state(self):
        (state,) = self.states.values()
        return state
