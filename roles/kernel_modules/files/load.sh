#!/bin/sh
# SPDX-License-Identifier: MIT
# Loads modules; one that is loaded but is not the build on disk, or has other parameters than /etc/modprobe.d/so1.conf,
# is given these where it takes them, and else loaded anew. Where the new build cannot be loaded, the one before comes
# back. Then versions that no kernel uses any more go. Prints «changed» where something was (--check: would be) done.
#
# usage: load.sh [--check] NAME/VERSION=MODULE[,MODULE]...
set -eu

tree=/var/lib/dkms
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

# A build of another version is still there, installed or not.
go_back() {
    for build in "$tree/${1%%/*}"/*/"$(uname -r)/$(uname -m)"; do
        version=${build#"$tree/${1%%/*}/"} version=${version%%/*}
        if [ ! -d "$build/module" ] || [ "$version" = "${1#*/}" ]; then continue; fi
        dkms install --force "${1%%/*}/$version" -k "$(uname -r)" >&2
        modprobe "$2"
        return
    done
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
# Of a build from before, where the new one could not be loaded, the door is a device.
names = ("/proc/so2_memlimit", "/dev/so2_memlimit")
door = os.open(next(name for name in names if os.path.exists(name)), os.O_RDWR)
for pid, began, limit in limited:
    if began is None or start(pid) != began:
        continue  # it has exited
    try:
        fcntl.ioctl(door, ADD, struct.pack("iIQ", pid, 0, limit))
    except OSError as error:
        print(f"not limited again: process {pid}, {limit} bytes: {error.strerror}")
PYTHON
}

# Whoever has one of its files open keeps so1_exits, most for a moment only.
unload() {
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        ! rmmod "$1" 2>/dev/null || return 0
        sleep 1
    done
    rmmod "$1" || {
        echo "the module $1 is in use; end who has one of its files open (find /proc/[0-9]*/fd -lname '/proc/*_so1_*')" \
            "and run this again" >&2
        return 1
    }
}

for entry in "$@"; do
    package=${entry%%=*}
    for module in $(echo "${entry#*=}" | tr ',' ' '); do
        is_current "$module" false && continue
        if [ -e "/sys/module/$module/initstate" ] && [ ! -e "/sys/module/$module/parameters/gid" ]; then
            echo "the module $module that is loaded is not SO1's, and is left alone" >&2
            exit 1
        fi
        echo "changed: $module"
        [ -z "$check" ] || continue
        is_current "$module" write && continue
        note=
        if [ "$module" = so2_memlimit ] && [ -e /proc/so2_memory_limits ]; then
            note=$(mktemp)
            limits save "$note"
        fi
        [ ! -d "/sys/module/$module" ] || unload "$module"
        failed=
        modprobe "$module" || { failed=1; go_back "$package" "$module"; }
        if [ -n "$note" ]; then
            limits restore "$note" ||
                echo "limited no more (pid, start, bytes): $(cat "$note")" >&2
            rm "$note"
        fi
        [ -z "$failed" ] || {
            echo "the new $module cannot be loaded; the one before was, if there was one (dmesg says why)" >&2
            exit 1
        }
    done
done
[ -z "$check" ] || exit 0

# What a kernel has installed is kept, though it be old: nothing newer can be built there.
for entry in "$@"; do
    package=${entry%%=*} name=${entry%%/*}
    for source in "$tree/$name"/*/source /usr/src/"$name"-*/dkms.conf; do
        case $source in
        /usr/src/*) version=${source#"/usr/src/$name-"} version=${version%/dkms.conf} ;;
        *) version=${source#"$tree/$name/"} version=${version%/source} ;;
        esac
        if [ "$version" = '*' ] || [ "$version" = "${package#*/}" ]; then continue; fi
        [ -z "$(find "$tree/$name" -maxdepth 1 -lname "$version/*" 2>/dev/null)" ] || continue
        echo "changed: $name/$version is gone"
        rm -rf "${tree:?}/$name/$version" "/usr/src/$name-$version"
    done
done
