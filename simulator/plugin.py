"""The pytest plugin: a broker, a park, a gateway and the books as fixtures, for the tests of a consumer.

Every pytest run of an environment with Parkgate in it loads this file, so it imports next to nothing: what the
fixtures need comes with their first use. docs/developer.md shows how they are used.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from parkgate.config.language import say

if TYPE_CHECKING:
    from parkgate.simulator.background import Background
    from parkgate.simulator.link import Link
    from parkgate.simulator.moved_site import MovedSite
    from parkgate.simulator.testing import KeptBooks, RunningGateway, StandingBroker, StandingPark

DEFAULT = "demo"
_GATEWAY = pytest.StashKey["RunningGateway"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare --parkgate-broker."""
    parser.getgroup("parkgate").addoption(
        "--parkgate-broker",
        metavar="URL",
        help=say("the broker of parkgate_broker (mqtt:// or mqtts://) instead of the embedded one"),
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    text = say("the scenario of parkgate_park: a name, or a file beside the test's")
    config.addinivalue_line("markers", f"parkgate(scenario): {text}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the gateway's last lines to the report of a test that failed."""
    report = yield
    gateway = item.stash.get(_GATEWAY, None)
    if gateway is not None and report.failed and (lines := gateway.last_lines()):
        report.sections.append((say("the gateway's last lines"), lines))
    return report


@pytest.fixture
def _parkgate_background() -> Iterator[Background]:
    from parkgate.simulator.background import Background  # noqa: PLC0415  asyncio: only a test that uses it pays

    with Background() as background:
        yield background


@pytest.fixture
def _parkgate_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="parkgate-") as folder:  # short: a socket's path has 100 bytes
        yield Path(folder)


@pytest.fixture
def parkgate_scenario(request: pytest.FixtureRequest) -> str | Path:
    """Name the scenario that the park plays: that of the marker `parkgate`, else "demo". Override it for a file."""
    marker = request.node.get_closest_marker("parkgate")
    scenario = marker.args[0] if marker is not None and marker.args else DEFAULT
    beside = request.path.parent / scenario
    return beside if beside.is_file() else scenario


@pytest.fixture
def parkgate_broker(request: pytest.FixtureRequest, _parkgate_background: Background) -> Iterator[StandingBroker]:
    """Give an MQTT broker, the embedded one or that of --parkgate-broker: `.url`, `.host`, `.port`, `.stop()`."""
    from parkgate.simulator.testing import StandingBroker  # noqa: PLC0415  paho and more: only a test that uses it pays

    with StandingBroker(_parkgate_background, request.config.getoption("--parkgate-broker")) as broker:
        yield broker


@pytest.fixture
def parkgate_park(parkgate_scenario: str | Path, _parkgate_background: Background) -> Iterator[StandingPark]:
    """Give the simulated instruments of `parkgate_scenario`: `.instruments` by name, `.urls` by line."""
    from parkgate.simulator.testing import StandingPark  # noqa: PLC0415  pymodbus, asyncua: only a test that uses it pays

    with StandingPark(_parkgate_background, parkgate_scenario) as park:
        yield park


@pytest.fixture
def _parkgate_cable(parkgate_broker: StandingBroker, _parkgate_background: Background) -> Iterator[Link | None]:
    from parkgate.simulator.testing import cable_to  # noqa: PLC0415  as above

    cable = cable_to(parkgate_broker)
    if cable is None:
        yield None
    else:
        with _parkgate_background.use(cable):
            yield cable


@pytest.fixture
def _parkgate_site(
    parkgate_park: StandingPark, parkgate_broker: StandingBroker, _parkgate_cable: Link | None, _parkgate_folder: Path
) -> MovedSite:
    from parkgate.simulator.testing import site_in  # noqa: PLC0415  as above

    return site_in(_parkgate_folder, parkgate_park, parkgate_broker, _parkgate_cable)


@pytest.fixture
def parkgate_books(
    parkgate_broker: StandingBroker, _parkgate_site: MovedSite, _parkgate_background: Background
) -> Iterator[KeptBooks]:
    """Give a subscriber: `.messages`, `.snapshots()`, `.account()`, `.wait_until_complete(seconds)`."""
    from parkgate.simulator.testing import KeptBooks  # noqa: PLC0415  as above

    with KeptBooks(_parkgate_background, parkgate_broker.url, _parkgate_site.topics) as books:
        yield books
        if parkgate_broker.elsewhere:
            books.clear()  # the gateway has left: nothing of it stays in somebody else's broker


@pytest.fixture
def parkgate_gateway(
    request: pytest.FixtureRequest,
    parkgate_books: KeptBooks,
    _parkgate_site: MovedSite,
    _parkgate_cable: Link | None,
    _parkgate_folder: Path,
    _parkgate_background: Background,
) -> Iterator[RunningGateway]:
    """Give the agent on that park and broker: `.status()`, `.wait_for(instrument)`, `.stop()`, `.kill()`, `.start()`.

    `.topic` is the root of what it publishes; `.unplug()` and `.plug_in()` are about its broker.
    It starts after every fixture that a test names before it.
    """
    from parkgate.simulator.testing import RunningGateway  # noqa: PLC0415  as above

    gateway = RunningGateway(_parkgate_background, _parkgate_site, _parkgate_folder, _parkgate_cable, parkgate_books)
    request.node.stash[_GATEWAY] = gateway
    with gateway:
        yield gateway
