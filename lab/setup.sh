#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Sets the controller up: system packages (with sudo where not root) and the venv. Quick when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
    qemu-system-x86 qemu-utils mmdebstrap e2fsprogs openssh-client   # the lab VM
    make gcc sparse shellcheck                                       # kernel modules and lint
    linux-headers-cloud-amd64 linux-headers-6.12-cloud-amd64
    busybox-static cpio zstd                                         # direct-boot kernel tests
    docker.io python3-venv
)

packages() {
    local missing=() package
    for package in "${packages[@]}"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' ||
            missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    local sudo=()
    [ "$(id -u)" -eq 0 ] || sudo=(sudo)
    echo "setup: installing ${missing[*]}"
    "${sudo[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -qq --no-install-recommends "${missing[@]}" >/dev/null
}

venv() {
    local stamp=.venv/.requirements wanted
    wanted=$(cat requirements.txt requirements-dev.txt python/pyproject.toml python/constraints.txt | sha256sum)
    [ "$(cat $stamp 2>/dev/null)" = "$wanted" ] && return
    echo "setup: making the venv (one to two minutes, once)"
    python3 -m venv .venv
    .venv/bin/pip install -q --disable-pip-version-check -c python/constraints.txt \
        -r requirements-dev.txt -e 'python[report]'
    echo "$wanted" >$stamp
}

for step in "$@"; do
    "$step"
done
