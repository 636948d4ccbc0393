"""An outage longer than a small disk holds."""

from pathlib import Path

from chaos.days import UPLINKS, temporary
from chaos.small_disk import declared, lived_outage


def test_what_a_small_disk_cannot_keep_is_declared_to_the_record_and_the_rest_arrives(caplog):
    caplog.set_level("CRITICAL")
    with temporary() as folder:
        world = lived_outage(Path(folder), days=1.5, budget=1_500_000)
        assert (world.site.gateway.data / "outbox.sqlite").stat().st_size <= 1_500_000
    for uplink in UPLINKS:
        missing, told = declared(world, uplink)
        assert missing == told > 500
