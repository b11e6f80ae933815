#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# On the controller: the DKMS packages' sources. A package's version is its own with a hash of its sources after it.
#
# usage: sources.sh TREE versions|archive NAME=FOLDER...
#   versions: prints an object of each NAME's version
#   archive:  prints the sources, in folders NAME-VERSION, as a tar in base64
set -euo pipefail

cd "$1"
what=$2
shift 2

files() {
    find -L "$1" -maxdepth 1 -type f \
        \( -name '*.[ch]' -o -name Kbuild -o -name Makefile -o -name dkms.conf \) ! -name '*.mod.c' | LC_ALL=C sort
}

version() {
    local own hash
    own=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"$/\1/p' "$1/dkms.conf")
    # How it is built is part of what is built.
    hash=$(files "$1" | while read -r file; do basename "$file"; cat "$file"; done | sha256sum | cut -c -12)
    echo "$own.$hash"
}

if [ "$what" = versions ]; then
    separator='{'
    for package in "$@"; do
        printf '%s"%s": "%s"' "$separator" "${package%%=*}" "$(version "${package#*=}")"
        separator=', '
    done
    echo '}'
    exit
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for package in "$@"; do
    version=$(version "${package#*=}")
    to=$work/${package%%=*}-$version
    mkdir "$to"
    files "${package#*=}" | xargs -d '\n' cp -L -t "$to"
    # Not by DKMS' own hooks: where one of them fails, the kernel's package stays unconfigured. And a build has a
    # folder of its own, in which there is nothing to clean.
    sed -i -e "s/^PACKAGE_VERSION=.*/PACKAGE_VERSION=\"$version\"/" -e '/^AUTOINSTALL=/d' -e 's/^CLEAN=.*/CLEAN="true"/' \
        "$to/dkms.conf"
done
tar -C "$work" --owner=0 --group=0 --mode=u=rwX,go=rX --sort=name -c . | base64
