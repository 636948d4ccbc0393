"""An outage longer than a small disk holds."""

from pathlib import Path

import pytest
from chaos.days import UPLINKS, temporary
from chaos.small_disk import declared, lived_outage
from support.mount import small_disk


def test_what_a_small_disk_cannot_keep_is_declared_to_the_record_and_the_rest_arrives(caplog):
    caplog.set_level("CRITICAL")
    with temporary() as folder:
        world = lived_outage(Path(folder), days=0.75, max_size=3_000_000)
        # Polls of the virtual world are rare: between two looks of the keeper the file grows by half an hour's records.
        assert (world.site.gateway.data / "outbox.sqlite").stat().st_size <= 3_200_000
    for uplink in UPLINKS:
        missing, told = declared(world, uplink)
        assert missing == told > 500


@pytest.mark.root
def test_a_disk_that_is_really_full_stops_nothing_and_what_it_cannot_keep_is_declared(caplog):
    caplog.set_level("CRITICAL")
    with small_disk(4 * 1024**2) as folder:
        world = lived_outage(folder, days=0.75)
    for uplink in UPLINKS:
        missing, told = declared(world, uplink)
        assert missing == told > 500
