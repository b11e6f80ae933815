#!/bin/sh
# SPDX-License-Identifier: MIT
# Takes off a host what tells of events, but for the ways named, and nothing of that name that SO1 did not make. Where no
# way is left, the user and what was told go too. Prints «changed» where something was (--check: would be) done.
#
# usage: remove-notify.sh [--check] [WAY…]
set -eu

check=
if [ "${1-}" = --check ]; then
    check=1
    shift
fi
wanted=" $* "
user=so1-notify state=/var/lib/so1-notify secret=/etc/so1/notify-webhook

act() {
    echo "changed: $*"
    [ -n "$check" ] || "$@"
}

for way in webhook mail; do
    case $wanted in *" $way "*) continue ;; esac
    unit=/etc/systemd/system/so1-notify-$way.service
    if grep -qs '^ExecStart=/opt/so1/' "$unit"; then
        act systemctl disable --now "so1-notify-$way.service"
        act rm -f "$unit"
    fi
    # Who is told again begins with what is new then.
    for file in "$state/$way.json" "$state/$way.json.lock" "$state/$way.json.new"; do
        [ ! -e "$file" ] || act rm -f "$file"
    done
    if [ "$way" = webhook ] && [ -e "$secret" ]; then
        act rm -f "$secret"
    fi
done
[ "$wanted" = "  " ] || exit 0
if getent passwd "$user" | grep -q ":$state:/usr/sbin/nologin$"; then
    act userdel "$user"
    if [ -d "$state" ]; then
        act rm -rf "$state"
    fi
fi
