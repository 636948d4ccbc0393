"""OPC UA's own 6,000 nodes, made once a process: each server of a test would spend two seconds on making them again."""

from __future__ import annotations

import copy
import gc
import sys

_MADE = []
"""The nodes as the first server of this process had them."""


def share():
    """Let every server of this process but the first begin with copies, if asyncua was imported at all."""
    module = sys.modules.get("asyncua.server.internal_server")
    if module is not None and not hasattr(module.InternalServer, "make_nodes"):
        module.InternalServer.make_nodes = module.InternalServer.load_standard_address_space
        module.InternalServer.load_standard_address_space = _load


async def _load(server, shelf_file=None):
    nodes = server.aspace._nodes
    gc.disable()  # so many objects at once would be looked through again and again, and none of them is garbage
    try:
        if _MADE:
            nodes.update(_copies(_MADE[0]))
        else:
            await server.make_nodes(shelf_file)
            _MADE.append(dict(_copies(nodes)))
            gc.collect()
            gc.freeze()  # these stay
    finally:
        gc.enable()


def _copies(nodes):
    """Give copies of nodes as far as a server changes them: it never changes a reference, nor a value but a list."""
    for number, node in nodes.items():
        new = type(node)(node.nodeid)
        new.references = list(node.references)
        for key, held in node.attributes.items():
            value = held.value
            listed = value is not None and value.Value is not None and isinstance(value.Value.Value, list)
            new.attributes[key] = type(held)(copy.deepcopy(value) if listed else value)
            assert held.value_callback is held.value_setter is None
        assert node.call is None
        yield number, new
