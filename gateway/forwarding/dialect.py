"""What a broker was found to understand, remembered from one connection to the next, pure.

MQTT 5 tells whether a message was refused and 3.1.1 does not, so 3.1.1 is spoken only where nothing else is understood.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from parkgate.gateway.forwarding.refusals import HungUp, UplinkFault, VersionRefused, WillRefused

_RETAIN_NOT_SUPPORTED = 0x9A
_PATIENCE = 2
_MQTT_5, _MQTT_311 = 5, 4
_OTHER = {_MQTT_5: _MQTT_311, _MQTT_311: _MQTT_5}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How to speak to a broker: `version` 5, or 4 for MQTT 3.1.1; and which will it takes.

    `certain`: the broker itself refused the other version. `hung_up`: how often since it last accepted it
    only closed the connection, as some brokers do that do not know MQTT 5, but also any proxy whose broker is down.
    """

    version: int = _MQTT_5
    certain: bool = False
    will_qos: int = 1
    will_retain: bool = True
    hung_up: int = 0

    def after(self, fault: UplinkFault | None) -> Dialect:
        """Give what to speak next time, after a connection was accepted (None), or was not or was lost (`fault`)."""
        hung_up = self.hung_up + isinstance(fault, HungUp)
        if isinstance(fault, VersionRefused):
            return replace(self, version=_OTHER[self.version], certain=True, hung_up=0)
        if hung_up >= _PATIENCE:
            return replace(self, version=_OTHER[self.version], certain=False, hung_up=0)
        if isinstance(fault, WillRefused):
            return (
                replace(self, will_retain=False) if fault.code == _RETAIN_NOT_SUPPORTED else replace(self, will_qos=0)
            )
        if fault is not None:
            return replace(self, hung_up=hung_up)
        if self.version == _MQTT_311 and not self.certain:
            # It was a guess, and may have been a proxy: next time MQTT 5 gets one more try.
            return replace(self, version=_MQTT_5, hung_up=_PATIENCE - 1)
        return replace(self, hung_up=0)


NEWEST = Dialect()
"""What is spoken to a broker never met before: MQTT 5 and a retained will of QoS 1."""
