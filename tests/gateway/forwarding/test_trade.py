"""What is counted on an uplink."""

from parkgate.gateway.forwarding.trade import Counters


def test_refusals_are_counted_by_their_code_and_the_first_of_each_is_told_from_the_others():
    counters = Counters()
    assert (counters.delivered, counters.nobody, counters.sent_bytes) == (0, 0, 0)
    assert [counters.refuse(code) for code in (0x87, 0x87, 0x97, 0x87)] == [True, False, True, False]
    assert counters.refused == {0x87: 3, 0x97: 1}
