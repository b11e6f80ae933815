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

# A limiter that goes lifts every limit. So they are noted (save FILE) and set again (restore FILE), each for the
# process that had it: with the time when it started, a pid names one for good. What fails is told.
limits() {
    python3 - "$@" <<'PYTHON'
import fcntl, json, os, struct, sys

ADD = 0x4010B900

def start(pid):
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return int(stat.read().rpartition(b")")[2].split()[19])
    except OSError:
        return None

action, note = sys.argv[1:]
if action == "save":
    with open("/proc/so2_memory_limits", encoding="utf-8") as listing, open(note, "w") as kept:
        json.dump([(one["pid"], start(one["pid"]), one["limit"]) for one in json.load(listing)], kept)
    sys.exit()
with open(note) as kept:
    limited = json.load(kept)
door = os.open("/proc/so2_memlimit", os.O_RDWR)
for pid, began, limit in limited:
    if began is None or start(pid) != began:
        continue  # it has exited
    try:
        fcntl.ioctl(door, ADD, struct.pack("iIQ", pid, 0, limit))
    except OSError as error:
        print(f"not limited again: process {pid}, {limit} bytes: {error.strerror}")
PYTHON
}

for module in "$@"; do
    is_current "$module" false && continue
    echo "changed: $module"
    [ -z "$check" ] || continue
    is_current "$module" write && continue
    note=
    if [ "$module" = so2_memlimit ] && [ -d /sys/module/so2_memlimit ]; then
        note=$(mktemp)
        limits save "$note"
    fi
    [ ! -d "/sys/module/$module" ] || rmmod "$module"
    if ! modprobe "$module"; then
        [ -z "$note" ] || echo "limited no more (pid, start, bytes): $(cat "$note")" >&2
        exit 1
    fi
    if [ -n "$note" ]; then
        limits restore "$note"
        rm "$note"
    fi
done
