#!/bin/sh
# What the tests need and pip cannot install: a real mosquitto. `make test` runs it first.
set -eu

PATH=$PATH:/usr/sbin
if command -v mosquitto >/dev/null; then
    exit 0
fi
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    echo "Installing mosquitto for the tests"
    apt-get update --quiet=2
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends mosquitto
    exit 0
fi
echo "The tests need the MQTT broker mosquitto, and it is not installed." >&2
echo "Install it and run make test again:  sudo apt-get install mosquitto   (or your system's way)" >&2
exit 1
