"""A computed point is a point like any other to alarms and statistics: it is watched and averaged, in its own unit."""

from parkgate.config.load import load_site
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.processing.alarms import Watch
from parkgate.gateway.processing.derive import derivers
from parkgate.gateway.processing.periods import periods
from parkgate.gateway.processing.statistics import Plan

SITE = """
[gateway]
site = "xuwei"
id = "gw-01"
data = "data"
[[uplink]]
name = "park"
url = "mqtt://127.0.0.1"
[[line]]
name = "l"
url = "modbus-tcp://127.0.0.1"
[[instrument]]
name = "stack-1"
line = "l"
profile = "stack.toml"
every = "5s"
derived.rate = { formula = "emission_rate", of = { c = "so2", flow = "flow" }, KEYS }
"""
PROFILE = """
protocol = "modbus"
[points]
so2 = { at = "input 0", type = "float32", unit = "mg/m3" }
flow = { at = "input 2", type = "float32", unit = "m3/h" }
"""


def stack(folder, keys):
    (folder / "stack.toml").write_text(PROFILE, encoding="utf-8")
    (folder / "site.toml").write_text(SITE.replace("KEYS", keys), encoding="utf-8")
    return load_site(folder / "site.toml")


def test_a_computed_point_has_alarms(tmp_path):
    (about,) = stack(tmp_path, 'alarms = [ { name = "high", above = 10, deadband = 1 } ]').instruments
    derive, watch = derivers([about])["stack-1"], Watch(about, {})
    raised = [
        [
            (each.point, each.alarm.name, each.value)
            for each in watch.take(derive(Snapshot("stack-1", at, (c, 1e6))), at)
        ]
        for at, c in ((1, 9.0), (2, 11.0))
    ]
    assert raised == [[], [("rate", "high", 11.0)]]


def test_a_computed_rate_adds_up_to_its_amount(tmp_path):
    site = stack(tmp_path, 'sum = "kg"')
    plan = Plan.of(site.instruments[0], site.statistics, periods(site.statistics, site.gateway.timezone))
    measures = {each.name: (each.place, each.amount) for each in plan.measures}
    assert measures == {"so2": (0, None), "flow": (1, None), "rate": (2, 1 / 3600)}
