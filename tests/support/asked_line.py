"""A line that is asked block by block and answered by simulated units, without a wire; `asked` is what it was asked."""

import struct

from parkgate.drivers.faults import Garbled, Silent
from parkgate.drivers.identity import Identity
from parkgate.simulator.wire import reply

FUNCTIONS = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}


class AskedLine:
    """`units` holds an image per unit; `spoilt` the units whose answers come garbled."""

    def __init__(self, units, spoilt=()):
        self.units = units
        self.spoilt = spoilt
        self.asked = []
        self.identified = []

    async def ask(self, unit, block):
        self.asked.append((unit, block.table, block.start, block.count))
        if unit in self.spoilt:
            raise Garbled("what came back is no frame", where=f"unit {unit}", hint="Look.")
        if unit not in self.units:
            raise Silent("no answer", where=f"unit {unit}", hint="Look.")
        pdu = reply(struct.pack(">BHH", FUNCTIONS[block.table], block.start, block.count), self.units[unit])
        return pdu[1] if pdu[0] & 0x80 else pdu[2:]

    async def identify(self, unit):
        self.identified.append(unit)
        return Identity("Parkgate", "simulator", "1")
