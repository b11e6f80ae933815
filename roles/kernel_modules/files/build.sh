# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Builds and installs DKMS packages, whose sources come in as a tar in base64. All are built at once, for the running
# kernel first; nothing that is there goes before all are built. Kernels that wait for the next boot get theirs too, as
# far as they can: one on which nothing can be built keeps what it has.
#
# usage: bash -c "$(cat build.sh)" build.sh NAME/VERSION... <SOURCES
set -uo pipefail

tree=/var/lib/dkms sources=/usr/src hooks=/etc/kernel
running=$(uname -r) machine=$(uname -m)
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

base64 -d | tar -x -C "$sources" || exit 1

active() {
    [ "$(readlink "$tree/${1%%/*}/kernel-$2-$machine")" = "${1#*/}/$2/$machine" ]
}

# The key that DKMS signs with is made by whichever build comes first.
key_is_there() {
    [ -s "$tree/mok.pub" ] || grep -qs '^ *mok_' /etc/dkms/framework.conf
}

build_for() {
    local kernel=$1 package
    local -A jobs=()
    shift
    for package in "$@"; do
        [ ! -d "$tree/$package/$kernel/$machine/module" ] || continue
        dkms build "$package" -k "$kernel" >"$logs/${package%%/*}" 2>&1 &
        jobs[$package]=$!
        while ! key_is_there && kill -0 $! 2>/dev/null; do sleep 0.5; done
    done
    for package in "${!jobs[@]}"; do
        wait "${jobs[$package]}" || echo "$package"
    done
}

install_for() {
    local kernel=$1 package changed=''
    shift
    for package in "$@"; do
        active "$package" "$kernel" && continue
        # Whatever version the other has: this one is wanted.
        dkms install --force --no-depmod "$package" -k "$kernel" >"$logs/${package%%/*}" 2>&1 || {
            echo "$package"
            return
        }
        changed=1
    done
    [ -z "$changed" ] || depmod "$kernel"
}

failed=$(build_for "$running" "$@")
[ -n "$failed" ] || failed=$(install_for "$running" "$@")
if [ -n "$failed" ]; then
    for package in $failed; do
        echo "$package cannot be built or installed for $running; what was there before is still there." >&2
        cat "$logs/${package%%/*}" "$tree/$package/build/make.log" 2>/dev/null | tail -n 40 >&2
    done
    exit 1
fi

# Kernels to come, by a hook of our own that never fails: an installation of a kernel is not ours to hinder.
for folder in header_postinst.d postinst.d; do
    mkdir -p "$hooks/$folder"
    cat >"$logs/hook" <<HOOK
#!/bin/sh
# Ansible managed: builds SO1's modules for a kernel that was just installed. Whatever comes of it, the kernel's
# installation goes on.
[ -e "/lib/modules/\$1/build/Makefile" ] || exit 0
for package in $* ; do
    [ ! -e "$tree/\${package%%/*}/kernel-\$1-$machine" ] || continue
    echo "so1-modules: \$package for \$1"
    dkms install "\$package" -k "\$1" >/dev/null 2>&1 </dev/null ||
        echo "so1-modules: \$package cannot be built for \$1; SO1's daemon will read /proc there"
done
exit 0
HOOK
    install -m 755 "$logs/hook" "$hooks/$folder/so1-modules"
done

for build in /lib/modules/*/build/Makefile; do
    kernel=${build#/lib/modules/} kernel=${kernel%/build/Makefile}
    if [ "$kernel" = "$running" ] || [ ! -e "$build" ]; then continue; fi
    for package in "$@"; do
        [ -n "$(build_for "$kernel" "$package")" ] || install_for "$kernel" "$package" >/dev/null
    done
done
exit 0
