"""What a status code means to whoever stands before the instrument, pure. Codes: OPC 10000-4, 7.39; 10000-8, 6.3."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from parkgate.config.language import say

_UNCERTAIN, _BAD = 1, 2
_MEANINGS: Final[Mapping[str, Callable[[], str]]] = MappingProxyType(
    {
        "BadNodeIdUnknown": lambda: say("the server has no such node"),
        "BadNodeIdInvalid": lambda: say("the server has no such node"),
        "BadAttributeIdInvalid": lambda: say("the node has no value: it is no variable"),
        "BadNotReadable": lambda: say("the server does not let anybody read it"),
        "BadUserAccessDenied": lambda: say("this user may not read it: ask who runs the server"),
        "BadNotSupported": lambda: say("the server cannot do this"),
        "BadConfigurationError": lambda: say("the server's configuration of this node is wrong"),
        "BadNotConnected": lambda: say("the server is not connected to the device of this variable"),
        "BadDeviceFailure": lambda: say("the device itself has failed"),
        "BadSensorFailure": lambda: say("the sensor has failed: look at the instrument"),
        "BadOutOfService": lambda: say("it has been taken out of service"),
        "BadOutOfRange": lambda: say("the value is beyond what the instrument can measure"),
        "BadNoCommunication": lambda: say("the server does not reach the device: look at the line between them"),
        "BadCommunicationError": lambda: say("the server does not reach the device: look at the line between them"),
        "BadTimeout": lambda: say("the device did not answer the server in time"),
        "BadRequestTimeout": lambda: say("the device did not answer the server in time"),
        "BadWaitingForInitialData": lambda: say("the server has not had a value from the device yet"),
        "BadNoData": lambda: say("there is no value"),
        "BadNoDataAvailable": lambda: say("there is no value"),
        "BadDataUnavailable": lambda: say("there is no value"),
        "BadDataLost": lambda: say("the value was lost"),
        "BadTypeMismatch": lambda: say("the value is not of the type that the node has"),
        "BadShutdown": lambda: say("the server is stopping"),
        "BadServerHalted": lambda: say("the server has stopped"),
        "BadServerNotConnected": lambda: say("the server has lost what is behind it"),
        "BadResourceUnavailable": lambda: say("the server lacks what it needs to answer"),
        "UncertainNoCommunicationLastUsableValue": lambda: say("an old value: the server no longer reaches the device"),
        "UncertainLastUsableValue": lambda: say("an old value: what updated it has stopped doing so"),
        "UncertainSubstituteValue": lambda: say("entered by hand in place of the measured one"),
        "UncertainInitialValue": lambda: say("the value it began with: nothing has written it yet"),
        "UncertainSensorNotAccurate": lambda: say("the sensor is at the end of its range or not accurate"),
        "UncertainSensorCalibration": lambda: say("the sensor is beyond its accuracy or not calibrated"),
        "UncertainEngineeringUnitsExceeded": lambda: say("the value is outside the range that was given for it"),
        "UncertainSubNormal": lambda: say("made of fewer sources than it should be"),
        "UncertainTransducerInManual": lambda: say("the transducer is in manual mode"),
        "UncertainSimulatedValue": lambda: say("the value is simulated"),
        "GoodLocalOverride": lambda: say("overridden, usually by hand"),
        "GoodClamped": lambda: say("held at an end of its range"),
        "GoodNoData": lambda: say("there is no value"),
    }
)


def meaning(name: str, status: int) -> str:
    """Give what a status means, by its name; of one that is in no list its severity alone. Plain Good says nothing."""
    if told := _MEANINGS.get(name):
        return told()
    if not status:
        return ""
    severity = status >> 30
    if severity >= _BAD:
        return say("the value may not be used")
    return say("the value may be less good than it should be") if severity == _UNCERTAIN else say("the value is good")
