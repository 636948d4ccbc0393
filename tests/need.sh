#!/bin/sh
# What the tests need and pip cannot install: a real mosquitto, a clock that lies, and what the servers of others
# run on; as root also what breaks links and slows disks.
# `make test` runs it first.
set -eu

PATH=$PATH:/usr/sbin:/sbin
programs="mosquitto faketime node npm"
if [ "$(id -u)" = 0 ]; then
    programs="$programs ip iptables strace mount" # the last four are for tests that only root can make
fi
missing=
for program in $programs; do
    command -v "$program" >/dev/null || missing="$missing $(echo "$program" | sed 's/^ip$/iproute2/; s/^node$/nodejs/')"
done
python3 -c 'import ctypes; ctypes.CDLL("libmodbus.so.5")' 2>/dev/null || missing="$missing libmodbus5"
if [ -z "$missing" ]; then
    exit 0
fi
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    echo "Installing for the tests:$missing"
    apt-get update --quiet=2
    # shellcheck disable=SC2086  # several words
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends $missing
    exit 0
fi
echo "The tests need what is not installed:$missing" >&2
echo "Install it and run make test again:  sudo apt-get install$missing   (or your system's way)" >&2
exit 1
