#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# make look: this host's processes and containers as SO1 sees them without its kernel modules. Needs Python 3.11 and a
# route to PyPI, once; no root, no Docker, no virtual machine. It changes nothing outside the cache.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${SO1_CACHE:-$PWD/.cache}
venv=$cache/look

fail() {
    echo "look: $*" >&2
    exit 1
}

clock() {
    printf '%d:%02d' $(($1 / 60)) $(($1 % 60))
}

for python in python3 python3.14 python3.13 python3.12 python3.11 none; do
    [ "$python" != none ] || fail "needs Python 3.11 or later; \`python3 --version\` says $(python3 --version 2>&1 || true)"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break
done

# The packages are installed for this folder, and for a Python that an upgrade of the system may take away.
wanted=$({ pwd && cat python/pyproject.toml python/constraints.txt; } | sha256sum)
if [ "$(cat "$venv/.requirements" 2>/dev/null)" != "$wanted" ] || [ ! -x "$venv/bin/python" ]; then
    echo "look: fetching the packages that the command so1 needs (once) ..."
    mkdir -p "$cache"
    rm -rf "$venv"
    log=$cache/look.log
    # The system's certificates, which know a company's proxy; the older name for older versions of uv.
    export UV_SYSTEM_CERTS=true UV_NATIVE_TLS=true
    if command -v uv >/dev/null; then
        uv venv -q --python "$python" "$venv" >"$log" 2>&1 &&
            uv pip install -q --python "$venv" -c python/constraints.txt -e python >>"$log" 2>&1
    elif "$python" -m venv "$venv" >"$log" 2>&1; then
        "$venv/bin/pip" install -q --disable-pip-version-check -c python/constraints.txt -e python >>"$log" 2>&1
    else
        fail "this Python cannot make a virtual environment; install python3-venv (Debian, Ubuntu) or uv, and try again"
    fi || fail "the packages could not be installed; $log says why"
    echo "$wanted" >"$venv/.requirements"
fi
fetched=$SECONDS

"$venv/bin/so1" --config /dev/null top --once
echo
[ -e /sys/fs/cgroup/cgroup.controllers ] ||
    printf '%s\n' "This host does not use cgroup version 2 alone, so its containers may not be told" \
        "apart. The roles would refuse to set it up."
cat <<TEXT
All processes: $venv/bin/so1 snapshot --top 0
Live: $venv/bin/so1 top

This was read from /proc, one file after the other. The kernel modules report the same in one
consistent snapshot, at a fraction of the cost (docs/benchmark.md), and also where /proc hides other
users' processes. Try them in a virtual machine: make up
TEXT

echo
printf '%-8s  %5s\n' stage time packages "$(clock "$fetched")" look "$(clock $((SECONDS - fetched)))" all "$(clock "$SECONDS")"
