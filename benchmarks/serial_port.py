"""An instrument on a pseudo-terminal that keeps the time of a wire: `serial_port.py BAUD` prints the path, then serves.

The question takes the time of its 8 characters, then 3.5 characters of silence pass, then the answer comes in pieces of
8 characters as a UART hands them over, each when its last character has passed. A character has 10 bits. Each answer is
told on stdout when stdin asks: the number of answers and the seconds of wire time that all of them took.
"""

import os
import select
import struct
import sys
import time
import tty

BITS, PIECE, QUESTION = 10, 8, 8


def crc(data: bytes) -> bytes:
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return value.to_bytes(2, "little")


def until(moment: float) -> None:
    while (left := moment - time.perf_counter()) > 0:
        if left > 0.0005:
            time.sleep(left - 0.0003)


def main(baud: int) -> None:
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    print(os.ttyname(theirs), flush=True)
    character = BITS / baud
    silence = 1.75e-3 if baud > 19_200 else 3.5 * character
    answers, wire, replies = 0, 0.0, {}
    while True:
        ready, _, _ = select.select([ours, sys.stdin], [], [])
        if sys.stdin in ready:
            if not sys.stdin.readline():
                return
            print(answers, wire, flush=True)
        if ours not in ready:
            continue
        began = time.perf_counter()
        question = os.read(ours, 256)
        if question not in replies:
            unit, function, _, count = struct.unpack(">BBHH", question[:6])
            known = function in (3, 4)
            body = bytes((unit, function, 2 * count)) + bytes(2 * count) if known else bytes((unit, function | 0x80, 1))
            replies[question] = body + crc(body)
        reply = replies[question]
        for start in range(0, len(reply), PIECE):
            end = min(start + PIECE, len(reply))
            until(began + silence + (QUESTION + end) * character)
            os.write(ours, reply[start:end])
        answers += 1
        wire += 2 * silence + (QUESTION + len(reply)) * character


if __name__ == "__main__":
    main(int(sys.argv[1]))
