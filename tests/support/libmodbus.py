"""libmodbus, the C library of Debian, as an instrument: it answers functions 1 to 4 and shares no code with ours.

A program of its own, since the library blocks: `libmodbus.py tcp`, or `libmodbus.py rtu TERMINAL`. On stdin one line of
JSON, {"unit": 3, "tables": {"holding": [...], ...}}, each table from its register 0; what is behind its end is refused
with exception 2. It says one line when it listens, for TCP the port, and serves until it is killed.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys

LIBRARY = "libmodbus.so.5"
LONGEST = 260  # bytes of a frame: MODBUS_TCP_MAX_ADU_LENGTH of modbus-tcp.h
BAUDRATE, DATA_BITS, STOP_BITS = 9_600, 8, 1


class Mapping(ctypes.Structure):
    """`modbus_mapping_t` of modbus.h, 3.1."""

    _fields_ = (
        *((f"{what}_{table}", ctypes.c_int)
          for table in ("bits", "input_bits", "input_registers", "registers") for what in ("nb", "start")),
        ("tab_bits", ctypes.POINTER(ctypes.c_uint8)),
        ("tab_input_bits", ctypes.POINTER(ctypes.c_uint8)),
        ("tab_input_registers", ctypes.POINTER(ctypes.c_uint16)),
        ("tab_registers", ctypes.POINTER(ctypes.c_uint16)),
    )  # fmt: skip


def opened():
    library = ctypes.CDLL(LIBRARY, use_errno=True)
    library.modbus_new_tcp.restype = library.modbus_new_rtu.restype = ctypes.c_void_p
    library.modbus_mapping_new.restype = ctypes.POINTER(Mapping)
    return library


def mapped(library, tables):
    sizes = [len(tables.get(name, ())) for name in ("coil", "discrete", "holding", "input")]
    mapping = library.modbus_mapping_new(*sizes)
    fields = {"coil": "bits", "discrete": "input_bits", "holding": "registers", "input": "input_registers"}
    for name, values in tables.items():
        place = getattr(mapping.contents, f"tab_{fields[name]}")
        for register, value in enumerate(values):
            place[register] = value
    return mapping


def done(result):
    """Hold the result of a call against failure."""
    if result is None or result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def port_of(descriptor):
    with socket.socket(fileno=os.dup(descriptor)) as listener:
        return listener.getsockname()[1]


def answer(library, context, mapping):
    """Answer one question after the other until the connection ends; on a serial line it never does."""
    frame = (ctypes.c_uint8 * LONGEST)()
    while (length := library.modbus_receive(context, frame)) >= 0:
        if length:  # nothing is a question to another unit
            library.modbus_reply(context, frame, length, mapping)


def serve_tcp(library, mapping):
    context = ctypes.c_void_p(done(library.modbus_new_tcp(b"127.0.0.1", 0)))
    listener = ctypes.c_int(done(library.modbus_tcp_listen(context, 1)))
    print(port_of(listener.value), flush=True)
    while True:
        done(library.modbus_tcp_accept(context, ctypes.byref(listener)))
        answer(library, context, mapping)
        library.modbus_close(context)


def serve_rtu(library, mapping, terminal, unit):
    context = ctypes.c_void_p(
        done(library.modbus_new_rtu(terminal.encode(), BAUDRATE, ctypes.c_char(b"N"), DATA_BITS, STOP_BITS))
    )
    done(library.modbus_set_slave(context, unit))
    done(library.modbus_connect(context))
    print("ready", flush=True)
    while True:  # what it could not understand it has thrown away
        answer(library, context, mapping)


def main(transport, *terminal):
    told = json.loads(sys.stdin.readline())
    library = opened()
    mapping = mapped(library, told["tables"])
    if transport == "tcp":
        serve_tcp(library, mapping)
    else:
        serve_rtu(library, mapping, *terminal, told["unit"])


if __name__ == "__main__":
    main(*sys.argv[1:])
