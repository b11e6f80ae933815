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

our_user() {
    getent passwd "$user" | grep -q ":$state:/usr/sbin/nologin$"
}

for way in webhook mail; do
    case $wanted in *" $way "*) continue ;; esac
    unit=/etc/systemd/system/so1-notify-$way.service
    if grep -qs '^ExecStart=/opt/so1/' "$unit"; then
        act systemctl stop "so1-notify-$way.service"
        act systemctl disable "so1-notify-$way.service"
        act rm -f "$unit"
    fi
    our_user || continue
    # Who is told again begins with what is new then.
    for file in "$state/$way.json" "$state/$way.json.lock" "$state/$way.json.new"; do
        [ ! -e "$file" ] || act rm -f "$file"
    done
    if [ "$way" = webhook ] && [ "$(stat -c %G "$secret" 2>/dev/null || true)" = "$user" ]; then
        act rm -f "$secret"
    fi
done
[ "$wanted" = "  " ] || exit 0
if our_user; then
    act userdel "$user"
    [ ! -d "$state" ] || act rm -rf "$state"
    # Most often it went with its user.
    if [ -z "$check" ] && getent group "$user" >/dev/null; then
        act groupdel "$user"
    fi
fi
