"""What is simulated must not pass for real: who is refused, when, and what of it is flagged."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from parkgate.config.flag import Flag
from parkgate.drivers.identity import Identity
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.collecting.origins import Origins

SIMULATED, REAL = Identity("Parkgate", "simulator"), Identity("SIG", "ULTI")
said = st.sampled_from([SIMULATED, REAL, None])


@given(st.lists(said, min_size=1, max_size=8), st.booleans())
def test_each_simulated_one_is_refused_once_from_the_moment_both_kinds_are_there(order, mixed):
    origins, refused = Origins(mixed=mixed), []
    for number, identity in enumerate(order):
        refused += origins.note(f"i{number}", identity)
        met = set(order[: number + 1])
        both = SIMULATED in met and len(met) > 1
        simulated = [f"i{place}" for place, each in enumerate(order[: number + 1]) if each is SIMULATED]
        assert sorted(refused) == (sorted(simulated) if both and not mixed else [])
    for number, identity in enumerate(order):
        snapshot = Snapshot(f"i{number}", 1, (1.5, None), {1: Flag.FAULT}, uncertain=frozenset({0}))
        judged = origins.judge(snapshot)
        if f"i{number}" in refused:
            assert judged.flags == dict.fromkeys((0, 1), Flag.BAD_CONFIGURATION)
            assert (judged.values, judged.uncertain) == (snapshot.values, frozenset())
            assert origins.judge(replace(snapshot, absent=frozenset({0}))).flags == {1: Flag.BAD_CONFIGURATION}
            assert f'"i{number}"' in origins.fault(f"i{number}")
            assert "mixed = true" in origins.fault(f"i{number}")
        else:
            assert judged is snapshot
            assert origins.fault(f"i{number}") == ""
        assert origins.simulated[f"i{number}"] is (identity is SIMULATED)


def test_whoever_was_not_asked_is_neither():
    origins = Origins()
    assert origins.simulated.get("a") is None
    assert origins.note("b", SIMULATED) == []
