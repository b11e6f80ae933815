#!/bin/sh
# SPDX-License-Identifier: MIT
# Unloads the modules of DKMS packages and takes away what was built, with or without their sources. Prints «changed»
# where something was (--check: would be) done. A loaded module of the same name that is not ours stays.
#
# usage: remove.sh [--check] NAME=MODULE[,MODULE]...
set -eu

kernels=
tree=/var/lib/dkms sources=/usr/src hooks=/etc/kernel
check=
if [ "$1" = --check ]; then
    check=1
    shift
fi

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
    name=${entry%%=*} modules=$(echo "${entry#*=}" | tr ',' ' ')
    # The last that was loaded goes first.
    reversed=
    for module in $modules; do reversed="$module $reversed"; done
    for module in $reversed; do
        # One that is built into the kernel has no initstate.
        if [ ! -e "/sys/module/$module/initstate" ] || [ ! -e "/sys/module/$module/parameters/gid" ]; then continue; fi
        echo "changed: $module"
        [ -n "$check" ] || unload "$module"
    done

    for link in "$tree/$name"/kernel-*; do
        [ -L "$link" ] || continue
        echo "changed: $name, ${link##*/}"
        [ -z "$check" ] || continue
        kernel=$(readlink "$link") kernel=${kernel#*/} kernel=${kernel%/*}
        for module in $modules; do
            rm -f "/lib/modules/$kernel/updates/dkms/$module.ko"*
        done
        rmdir --parents --ignore-fail-on-non-empty "/lib/modules/$kernel/updates/dkms" 2>/dev/null || true
        kernels="$kernels$kernel
"
    done

    for left in "$tree/$name" "$sources/$name"-*; do
        [ -e "$left" ] || continue
        echo "changed: $left"
        [ -n "$check" ] || rm -rf "$left"
    done

    for hook in "$hooks/postinst.d/so1-modules" "$hooks/header_postinst.d/so1-modules"; do
        grep -qs " $name/" "$hook" || continue
        echo "changed: $hook"
        [ -z "$check" ] || continue
        sed -i "s| $name/[^ ]*||" "$hook"
        grep -q '^for package in so' "$hook" || rm "$hook"
    done
done

echo "$kernels" | sort -u | while read -r kernel; do
    if [ -n "$kernel" ] && [ -e "/lib/modules/$kernel/modules.dep" ]; then depmod "$kernel"; fi
done
