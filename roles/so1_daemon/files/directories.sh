#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes the daemon's folders, and marks the one that removal takes away as ours. History that a removal kept is given
# back to the user. Prints «changed» where something was (--check: would be) done.
#
# usage: directories.sh [--check] USER PREFIX STATE
set -eu

check=
if [ "$1" = --check ]; then
    check=1
    shift
fi
user=$1 prefix=$2 state=$3

directory() {
    [ "$(stat -c '%F %U %G %a' "$1" 2>/dev/null || true)" != "directory $2 $2 $3" ] || return 0
    echo "changed: $1"
    [ -n "$check" ] || install -d -o "$2" -g "$2" -m "$3" "$1"
}

directory /etc/so1 root 755
directory "$prefix" root 755
directory "$state" "$user" 750

mark="SO1 made this folder; playbooks/remove.yml takes it away, with all that is in it."
if [ "$(cat "$prefix/.so1" 2>/dev/null || true)" != "$mark" ]; then
    echo "changed: $prefix/.so1"
    [ -n "$check" ] || echo "$mark" >"$prefix/.so1"
fi

# It was root's meanwhile, or of a number that was somebody else's.
if [ -d "$state" ] && getent passwd "$user" >/dev/null &&
    [ -n "$(find "$state" \( ! -user "$user" -o ! -group "$user" \) -print -quit)" ]; then
    echo "changed: $state"
    [ -n "$check" ] || chown --recursive --no-dereference "$user:$user" "$state"
fi
