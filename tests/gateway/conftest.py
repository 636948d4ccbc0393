import random

import pytest

from parkgate.gateway.clock import SystemClock
from parkgate.gateway.storing.outbox import Outbox


@pytest.fixture
async def outbox(tmp_path):
    """An open outbox whose commits are made by the test."""
    box = Outbox.open(tmp_path, SystemClock(), 1.0, random.Random(1))
    yield box
    await box.close()
