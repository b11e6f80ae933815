#!/bin/sh
# SPDX-License-Identifier: MIT
# Takes the daemon's files, its user and its group off a host, and nothing of that name that SO1 did not make. Prints
# «changed» where something was (--check: would be) done.
#
# usage: remove.sh [--check] [--purge] [--keep-group] USER PREFIX STATE CONFIGURATION
#   --purge       the history goes too; else only root reads it from now on
#   --keep-group  the modules' files belong to it
set -eu

check='' purge='' keep_group=''
while :; do
    case $1 in
    --check) check=1 ;;
    --purge) purge=1 ;;
    --keep-group) keep_group=1 ;;
    *) break ;;
    esac
    shift
done
user=$1 prefix=$2 state=$3 configuration=$4
unit=/etc/systemd/system/so1.service command=/usr/local/bin/so1

act() {
    echo "changed: $*"
    [ -n "$check" ] || "$@"
}

ours() {
    case $1 in
    "$unit") grep -qs "^ExecStart=$prefix/" "$unit" ;;
    "$command") case $(readlink "$command") in "$prefix"/*) ;; *) return 1 ;; esac ;;
    "$prefix") [ -e "$prefix/.so1" ] || [ -e "$prefix/venv/.installed" ] || [ -L "$prefix/venv" ] ;;
    "$configuration") grep -qs 'so1 config check' "$configuration" ;;
    "$state") [ "$(stat -c %U "$state")" = "$user" ] || [ -e "$state/metrics.db" ] ;;
    user) getent passwd "$user" | grep -q ":$state:/usr/sbin/nologin$" ;;
    group) [ "$(getent group "$user" | cut -d: -f3)" -lt 1000 ] ;;
    esac
}

# Before the user goes, whose history this is.
if [ -e "$state" ] && ours "$state"; then
    if [ -n "$purge" ]; then
        act rm -rf "$state"
    elif [ -n "$(find "$state" ! -user root -print -quit)" ]; then
        # The user's number may be given to another.
        act chown --recursive --no-dereference root:root "$state"
    fi
fi
for file in "$unit" "$command" "$prefix" "$configuration"; do
    if [ ! -e "$file" ] && [ ! -L "$file" ]; then continue; fi
    ! ours "$file" || act rm -rf "$file"
done
if ours user; then
    # With it would go its group.
    [ -z "$keep_group" ] || act usermod --gid nogroup "$user"
    act userdel "$user"
fi
if [ -z "$keep_group" ] && getent group "$user" >/dev/null && ours group; then
    act groupdel "$user"
fi
if [ -d /etc/so1 ] && [ -z "$(ls -A /etc/so1)" ]; then
    act rmdir /etc/so1
fi
