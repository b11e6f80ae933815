#!/bin/sh
# SPDX-License-Identifier: MIT
# Loads the named modules; one that is loaded but is not the build on disk, or has other parameters than
# /etc/modprobe.d/so1.conf, is given these where it takes them, and else loaded anew. Prints «changed» where something
# was (--check: would be) done.
set -eu

check=
if [ "$1" = --check ]; then
    check=1
    shift
fi

is_this_build() {
    [ -d "/sys/module/$1" ] && [ "$(cat "/sys/module/$1/srcversion")" = "$(modinfo -F srcversion "$1")" ]
}

# Runs a command with the file, and the value it should have, of each parameter that has another.
other_parameters() {
    sed -n "s/^options $1 //p" /etc/modprobe.d/so1.conf | tr ' ' '\n' | while IFS='=' read -r key value; do
        file=/sys/module/$1/parameters/$key
        [ "$(cat "$file")" = "$value" ] || "$2" "$file" "$value" || exit 1
    done
}

# Unloading the limiter would lift every limit.
write() {
    [ "$(stat -c %a "$1")" = 644 ] && echo "$2" > "$1"
}

# With the parameters that it should have, or, where $2 is write, that it takes.
is_current() {
    is_this_build "$1" && other_parameters "$1" "$2"
}

for module in "$@"; do
    is_current "$module" false && continue
    echo "changed: $module"
    [ -z "$check" ] || continue
    is_current "$module" write && continue
    [ ! -d "/sys/module/$module" ] || rmmod "$module"
    modprobe "$module"
done
