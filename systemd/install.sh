#!/bin/sh
# Puts the unit, the user and the folders of Parkgate in place; safe to run again after an upgrade.
#   systemd/install.sh [PROGRAM]     PROGRAM is the command, /opt/parkgate/bin/parkgate if not given.
# With DESTDIR set the files go below that folder and nothing is started, for packagers.
set -eu

program=${1:-/opt/parkgate/bin/parkgate}
here=$(dirname "$0")
root=${DESTDIR:-}

case $program in
/*) ;;
*)
    echo "install.sh: $program: the unit needs the whole path of the command, such as /opt/parkgate/bin/parkgate" >&2
    exit 2
    ;;
esac
if [ -z "$root" ] && [ ! -x "$program" ]; then
    echo "install.sh: $program: there is no such command; install Parkgate there first (docs/technician.md)" >&2
    exit 1
fi

install -d "$root/etc/systemd/system" "$root/usr/lib/sysusers.d" "$root/usr/lib/tmpfiles.d"
sed "s|@PARKGATE@|$program|" "$here/parkgate@.service" >"$root/etc/systemd/system/parkgate@.service"
install -m 644 "$here/sysusers.d/parkgate.conf" "$root/usr/lib/sysusers.d/parkgate.conf"
install -m 644 "$here/tmpfiles.d/parkgate.conf" "$root/usr/lib/tmpfiles.d/parkgate.conf"

if [ -z "$root" ]; then
    systemd-sysusers parkgate.conf
    systemd-tmpfiles --create parkgate.conf
    systemctl daemon-reload
    echo "Next: write /etc/parkgate/NAME.toml, parkgate check it, then: systemctl enable --now parkgate@NAME"
fi
