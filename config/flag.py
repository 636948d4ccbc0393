"""The words that say why a value may not be used as it is."""

from enum import StrEnum


class Flag(StrEnum):
    """Why a value may not be used as it is; a value without a flag is normal.

    The words are the contract's. `factors.toml` maps them to the one-letter marks of
    HJ 212-2017 table 8 and HJ 212-2025; the last three have no letter there.
    """

    OUT_OF_SERVICE = "out-of-service"
    MAINTENANCE = "maintenance"
    MANUAL = "manual"
    FAULT = "fault"
    CALIBRATION = "calibration"
    OUT_OF_RANGE = "out-of-range"
    NO_COMMUNICATION = "no-communication"
    STALE = "stale"
    WARM_UP = "warm-up"
    BAD_CONFIGURATION = "bad-configuration"
