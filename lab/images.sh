#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# On the lab VM: makes so1-lab/alpine (busybox) and so1-lab/stress (stress-ng and the libraries it needs).
set -euo pipefail

# NAME FILE=TARGET ...: the files as an image; made once.
image() {
    local name=$1 tree pair
    shift
    docker image inspect "$name" >/dev/null 2>&1 && return
    tree=$(mktemp -d)
    mkdir -p "$tree"/{bin,tmp,proc,sys,dev,etc}
    chmod 1777 "$tree/tmp"
    for pair in "$@"; do
        install -D "${pair%%=*}" "$tree/${pair#*=}"
    done
    local applet
    for applet in sh sleep ls cat ps env; do
        ln -s busybox "$tree/bin/$applet"
    done
    tar -C "$tree" -c . | docker import --change 'ENV PATH=/bin' - "$name" >/dev/null
    rm -rf "$tree"
    echo "made $name"
}

stress=()
while read -r library; do
    stress+=("$library=$library")
done < <(ldd /usr/bin/stress-ng | grep -o '/[^ ]*')
image so1-lab/alpine /bin/busybox=bin/busybox
image so1-lab/stress /bin/busybox=bin/busybox /usr/bin/stress-ng=bin/stress "${stress[@]}"
