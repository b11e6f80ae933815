#!/bin/sh
# SPDX-License-Identifier: MIT
# Loads the named modules; one that is loaded but is not the build on disk, or has other parameters than
# /etc/modprobe.d/so1.conf, is loaded anew. Prints «changed» where something was (--check: would be) done.
set -eu

check=
if [ "$1" = --check ]; then
    check=1
    shift
fi

current() {
    [ -d "/sys/module/$1" ] || return 1
    [ "$(cat "/sys/module/$1/srcversion")" = "$(modinfo -F srcversion "$1")" ] || return 1
    sed -n "s/^options $1 //p" /etc/modprobe.d/so1.conf | tr ' ' '\n' | while IFS='=' read -r key value; do
        [ "$(cat "/sys/module/$1/parameters/$key")" = "$value" ] || exit 1
    done
}

for module in "$@"; do
    current "$module" && continue
    echo "changed: $module"
    [ -z "$check" ] || continue
    [ ! -d "/sys/module/$module" ] || rmmod "$module"
    modprobe "$module"
done
