"""A server that keeps histories, as the bare one: what it records is written by the test, with times of the past."""

from contextlib import asynccontextmanager

from asyncua import ua
from support.opcua_park import T0, bare, datavalue


class Recording:
    """A bare server whose nodes keep a history: `say` is what they hold now, `record` what was recorded."""

    def __init__(self, park):
        self.park = park
        self.manager = park.server.iserver.history_manager
        self.asked = []
        """The parameters of every HistoryRead."""
        self.answers = None
        """Called with the parameters of a HistoryRead and what the server would answer; gives what it does answer."""
        read = self.manager.read_history

        async def noted(parameters):
            self.asked.append(parameters)
            results = await read(parameters)
            return results if self.answers is None else await self.answers(parameters, results)

        self.manager.read_history = noted

    @property
    def storage(self):
        return self.manager.storage

    @property
    def url(self):
        return self.park.url

    def node(self, name):
        return ua.NodeId(name, self.park.space)

    async def say(self, source=T0, kind=None, status=0, **values):
        """Let nodes hold values from now on; one that is new keeps a history from the start."""
        for name, value in values.items():
            new = self.park.server.iserver.aspace.get(self.node(name)) is None
            await self.park.put(name, datavalue(value, kind, status, source))
            if new:
                await self.keep(name)

    async def keep(self, name):
        await self.park.server.historize_node_data_change(self.park.server.get_node(self.node(name)), period=None)
        self.storage._datachanges[self.node(name)].clear()

    async def forget(self, name):
        """Keep no history of a node any more."""
        await self.park.server.dehistorize_node_data_change(self.park.server.get_node(self.node(name)))
        level = await self.park.server.get_node(self.node(name)).read_attribute(ua.AttributeIds.AccessLevel)
        assert not level.Value.Value & 4

    def record(self, name, source, value, kind=None, status=0):
        self.storage._datachanges[self.node(name)].append(datavalue(value, kind, status, source))

    @property
    def released(self):
        """The continuation points that were released."""
        return [
            each.ContinuationPoint for one in self.asked if one.ReleaseContinuationPoints for each in one.NodesToRead
        ]


@asynccontextmanager
async def recording(port=0, page=10_000):
    """Run a server that gives at most `page` values of a node at once."""
    async with bare(port) as park:
        server = Recording(park)
        server.storage.max_history_data_response_size = page
        yield server
