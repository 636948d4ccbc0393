"""An OPC UA server whose nodes all change once a second, for a benchmark: `opcua_server.py`; prints its port.

It has every node `ns=1;i=…` that is asked for, at no cost of its own, and tells no more changes a message than its
client wants. A line on its standard input is answered with how often its nodes have changed.
"""

import asyncio
import struct
import sys
from datetime import UTC, datetime

from asyncua import Server, ua
from asyncua.server import uaprocessor
from asyncua.server.address_space import AddressSpace
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.monitored_item_service import MonitoredItemService
from asyncua.ua.ua_binary import struct_to_binary

PERIOD_S, MOST = 1.0, 500
_ITEM = struct.Struct("<IBBdqq")
_subscriptions: set[InternalSubscription] = set()
_now = {"value": ua.DataValue(), "ticks": 0}
_read, _watch, _publish = (
    AddressSpace.read_attribute_value, AddressSpace.add_datachange_callback, InternalSubscription.publish_results,
)  # fmt: skip


def read(self, node, attribute):
    return _now["value"] if node.NamespaceIndex == 1 else _read(self, node, attribute)


def watch(self, node, attribute, callback):
    if node.NamespaceIndex != 1:
        return _watch(self, node, attribute, callback)
    _subscriptions.add(callback.__self__.isub)
    self._datachange_callback_counter += 1
    return ua.StatusCode(), self._datachange_callback_counter


def pop(self, result):
    """Give no more changes at once than the client wants; the others go with its next request."""
    waiting = self._triggered_datachanges
    items = [item for handle in list(waiting)[:MOST] for item in waiting.pop(handle)]
    if items:
        result.NotificationMessage.NotificationData.append((items, bool(waiting)))


def binary(told):
    """Encode changes by hand: the library needs 20 us for each, which is more than the agent that is measured."""
    if type(told) is not ua.PublishResponse or not told.Parameters.NotificationMessage.NotificationData:
        return struct_to_binary(told)
    ((items, more),) = told.Parameters.NotificationMessage.NotificationData
    told.Parameters.NotificationMessage.NotificationData = []
    told.Parameters.MoreNotifications = more
    whole = struct_to_binary(told)
    told.Parameters.NotificationMessage.NotificationData = [(items, more)]
    values = b"".join(_ITEM.pack(handle, 0x0D, 11, value, at, at) for handle, value, at in items)
    body = struct.pack("<i", len(items)) + values + struct.pack("<i", -1)
    behind = 8 + 4 * len(told.Parameters.Results)  # what became of the acknowledgements, and no diagnostics
    data = struct.pack("<i4sBi", 1, bytes.fromhex("01002b03"), 1, len(body)) + body
    return whole[: -behind - 4] + data + whole[-behind:]


async def publish(self, request=None):
    done = await _publish(self, request)
    if done and self._triggered_datachanges:
        await self.publish_results()
    return done


def change():
    _now["ticks"] += 1
    at, value = datetime.now(UTC), 0.125 * _now["ticks"]
    _now["value"] = ua.DataValue(ua.Variant(value, ua.VariantType.Double), SourceTimestamp=at, ServerTimestamp=at)
    ticks = ua.datetime_to_win_epoch(at)
    for each in _subscriptions:
        for handle, item in each.monitored_item_srv._monitored_items.items():
            each._triggered_datachanges.setdefault(handle, []).append((item.client_handle, value, ticks))


async def first(self, *_):
    """Say nothing first: the client has read what there is."""


async def answer(loop):
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(_now["ticks"], flush=True)


async def main():
    AddressSpace.read_attribute_value, AddressSpace.add_datachange_callback = read, watch
    InternalSubscription.publish_results, InternalSubscription._pop_triggered_datachanges = publish, pop
    MonitoredItemService.trigger_datachange, uaprocessor.struct_to_binary = first, binary
    server = Server()
    await server.init()
    server.disable_clock()
    server.set_endpoint("opc.tcp://127.0.0.1:0/bench")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    change()
    async with server:
        print(server.bserver.port, flush=True)
        answering = asyncio.create_task(answer(asyncio.get_running_loop()))
        due = asyncio.get_running_loop().time()
        while not answering.done():
            due += PERIOD_S
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            change()


asyncio.run(main())
