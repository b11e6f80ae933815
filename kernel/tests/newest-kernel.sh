#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The newest kernel there is for Debian 13, that of its backports, which the compiler of Debian 12 does not build
# modules for: newest-kernel.sh unpacks it into the cache with its headers and a compiler of its release, and prints
# the bzImage and the headers' directory. newest-kernel.sh make DIRECTORY ARGUMENT... runs make there, in DIRECTORY.
# Nothing is installed, and nothing needs root. It is a month old at most.
set -euo pipefail
cache=${SO1_CACHE:-$(cd "$(dirname "$0")/../.." && pwd)/.cache}
root=$cache/newest-kernel

if [ "${1:-}" = make ]; then
    mkdir -p "$root/work"
    # shellcheck disable=SC2016 # for the inner shell
    exec unshare --map-root-user --mount sh -euc '
        root=$1 directory=$2
        shift 2
        mount --rbind /dev "$root/dev"
        mount --rbind /proc "$root/proc"
        mount --bind "$directory" "$root/work"
        exec chroot "$root" make -C /work "$@"' sh "$root" "${@:2}"
fi

if [ -z "$(find "$root/complete" -mtime -30 2>/dev/null)" ]; then
    rm -rf "$root"
    mkdir -p "$cache"
    # shellcheck disable=SC2016 # for mmdebstrap's shell
    mmdebstrap --quiet --variant=extract --format=directory \
        --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
        --setup-hook='sed -n "s/ trixie / trixie-backports /p" "$1/etc/apt/sources.list" \
            > "$1/etc/apt/sources.list.d/backports.list"' \
        --include=base-files,dash,coreutils,sed,grep,mawk,findutils,make,gcc \
        --include=linux-headers-cloud-amd64/trixie-backports,linux-image-cloud-amd64/trixie-backports \
        trixie "$root" >&2
    ln -s mawk "$root/usr/bin/awk" # what the package's script would do
    touch "$root/complete"
fi
headers=$(cd "$root" && echo usr/src/linux-headers-*-cloud-amd64)
echo "$root/usr/lib/modules/${headers#*headers-}/vmlinuz /$headers"
