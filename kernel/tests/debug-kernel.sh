#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Gives Debian's kernel source the limiter's system calls: debug-kernel.sh VERSION STEP.
# VERSION is that of a linux-source package. «apply» makes the patch series and proves that git
# takes it; «syscalls» then builds debug.config; «device» gives the same kernel without the system
# calls, for the module. These two print the bzImage and the tree. All of it is in the cache, and
# only what changed is built again.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
package=linux-source-$1
cache=${SO1_CACHE:-$here/../../.cache}/debug-kernels/$1
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

candidate=$(apt-cache policy "$package" | sed -n 's/^ *Candidate: //p')
tar=$cache/usr/src/$package.tar.xz
if [ "$(cat "$cache/candidate" 2>/dev/null)" != "$candidate" ]; then
    (cd "$cache" && rm -rf ./* && apt-get -qq -o APT::Sandbox::User=root download "$package" >&2)
    dpkg-deb -x "$cache/$package"_*.deb "$cache"
    rm "$cache/$package"_*.deb
    mkdir "$cache/pristine"
    sed "s|^|$package/|" "$here/../memlimit/tree/touched" |
        tar -C "$cache/pristine" --strip-components=1 -xf "$tar" -T -
    echo "$candidate" > "$cache/candidate"
fi

rm -rf "$cache/patched"
cp -r "$cache/pristine" "$cache/patched"
"$here/../memlimit/series.sh" "$cache/pristine" "$cache/series"
git=(git -C "$cache/patched" -c user.name=SO1 -c user.email=so1@localhost -c commit.gpgsign=false)
"${git[@]}" init -q
"${git[@]}" add -A
"${git[@]}" commit -q -m base
"${git[@]}" am -q "$cache"/series/*.patch
[ "$2" != apply ] || exit 0

tree=$cache/tree
if [ ! -e "$tree/Makefile" ]; then
    mkdir -p "$tree"
    tar -C "$tree" --strip-components=1 -xf "$tar"
fi
# Only what differs, or everything would be built again.
(cd "$cache/patched" && git ls-files) | while read -r file; do
    cmp -s "$cache/patched/$file" "$tree/$file" || install -D -m 644 "$cache/patched/$file" "$tree/$file"
done
# What the kernels are made of; where that has not changed, even looking at it all would take make ten seconds.
made_of=$({ cat "$here/debug.config" "$cache/candidate" &&
    cd "$cache/patched" && git ls-files -z | xargs -0 sha256sum; } | sha256sum)
if [ "$(cat "$cache/made-of" 2>/dev/null)" = "$made_of" ]; then
    echo "$cache/bzImage-$2 $tree"
    exit
fi
rm -f "$cache/made-of"

build() {
    make -s -C "$tree" olddefconfig > "$cache/build.log" 2>&1
    make -s -C "$tree" -j"$(nproc)" bzImage modules_prepare >> "$cache/build.log" 2>&1 ||
        { tail -30 "$cache/build.log" >&2; exit 1; }
    # The tree has no modules of its own; ours need to know what it exports.
    cp "$tree/vmlinux.symvers" "$tree/Module.symvers"
}

if ! cmp -s "$here/debug.config" "$cache/debug.config"; then
    echo "building linux-source-$1, a few minutes" >&2
    make -s -C "$tree" tinyconfig > "$cache/build.log" 2>&1
    (cd "$tree" && scripts/kconfig/merge_config.sh -m .config "$here/debug.config" >> "$cache/build.log" 2>&1)
    make -s -C "$tree" olddefconfig >> "$cache/build.log" 2>&1
    # What kconfig dropped, or kept, for the sake of another option would be missed only later.
    while read -r option; do
        case $option in
            CONFIG_*) grep -qxF "$option" "$tree/.config" ;;
            *) ! grep -q "^${option//[^A-Z0-9_]/}=" "$tree/.config" ;;
        esac || { echo "debug.config: $option did not hold" >&2; exit 1; }
    done < <(grep -E '^(CONFIG_|# CONFIG_[A-Z0-9_]* is not set)' "$here/debug.config")
    # The second build compiles only what the option touches.
    "$tree/scripts/config" --file "$tree/.config" --disable SO2_MEMLIMIT
    build
    cp "$tree/arch/x86/boot/bzImage" "$cache/bzImage-device"
    "$tree/scripts/config" --file "$tree/.config" --enable SO2_MEMLIMIT
    build
    cp "$here/debug.config" "$cache/debug.config"
else
    build
fi
cp "$tree/arch/x86/boot/bzImage" "$cache/bzImage-syscalls"
echo "$made_of" > "$cache/made-of"
echo "$cache/bzImage-$2 $tree"
