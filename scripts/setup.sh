#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Sets the controller up: quick when all is there. usage: setup.sh machine|tests|bench|venv|binaries ...
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${SO1_CACHE:-.cache}

# What `make up` needs: to build the lab VM's image, to run it, to reach it.
machine=(qemu-system-x86 qemu-utils mmdebstrap e2fsprogs openssh-client python3-venv)
# What the tests need besides: to build modules and kernels, and to boot them.
tests=(
    make gcc libc6-dev sparse shellcheck git perl xz-utils
    linux-headers-cloud-amd64 linux-headers-6.12-cloud-amd64
    busybox-static cpio zstd openssl iproute2
    bc bison flex libelf-dev libssl-dev python3-apt
    tmux
)

# What the benchmark needs besides: to build its programs for the machine that is measured.
bench=(gcc libc6-dev clang bpftool libbpf-dev)

root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

install() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' ||
            missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    echo "setup: installing ${missing[*]}"
    root apt-get update -qq
    root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq --no-install-recommends "${missing[@]}" >/dev/null
}

machine() {
    install "${machine[@]}"
}

tests() {
    install "${machine[@]}" "${tests[@]}"
    # Whoever has an engine, docker-ce say, keeps it; of this one the tests start their own.
    command -v dockerd >/dev/null && return
    install docker.io
    root systemctl disable --now docker.service docker.socket 2>/dev/null || true
}

bench() {
    install "${bench[@]}"
}

# By uv, which takes a third of pip's time.
venv() {
    local stamp=.venv/.requirements wanted
    wanted=$(cat requirements.txt requirements-dev.txt python/pyproject.toml python/constraints.txt | sha256sum)
    [ "$(cat $stamp 2>/dev/null)" = "$wanted" ] && return
    echo "setup: making the venv (half a minute, once)"
    python3 -m venv .venv
    .venv/bin/pip install -q --disable-pip-version-check "$(grep ^uv== python/constraints.txt)"
    .venv/bin/uv pip install -q --no-config --system-certs --python .venv -c python/constraints.txt \
        -r requirements-dev.txt -e 'python[report]'
    # Where the strategy is, whatever the Python is called.
    ln -sfn "$(.venv/bin/python -c 'import ansible_mitogen as m; print(*m.__path__)')/plugins/strategy" .venv/strategy
    echo "$wanted" >$stamp
}

# Servers that tests start themselves: unpacked, not installed, or they would run as services from then on.
binaries() {
    local package at=$cache/binaries
    for package in prometheus victoria-metrics prometheus-node-exporter prometheus-process-exporter dkms; do
        [ -e "$at/$package" ] && continue
        echo "setup: unpacking $package"
        mkdir -p "$at"
        (cd "$at" && apt-get -qq -o APT::Sandbox::User=root download "$package")
        dpkg-deb -x "$at/${package}"_*.deb "$at"
        rm "$at/${package}"_*.deb
        touch "$at/$package"
    done
}

for step in "$@"; do
    "$step"
done
