#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Writes python/locks/: what is installed on hosts, and what builds and installs it, with the hashes of all files. Run it
# after pyproject.toml or constraints.txt has changed.
set -euo pipefail
cd "$(dirname "$0")/../python"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

compile() {
    uv pip compile --quiet --no-config --system-certs --no-header --no-annotate --no-emit-index-url --generate-hashes \
        --only-binary :all: --constraint constraints.txt "$@"
}

# The same for each Python that a host may have, or one lock would not be enough: FILE ARGUMENTS...
lock() {
    local version
    for version in 3.11 3.12 3.13; do
        compile --python-platform x86_64-manylinux_2_36 --python-version "$version" --output-file "$work/$version" "${@:2}"
        cmp -s "$work/3.11" "$work/$version" || { echo "Python 3.11 and $version take different packages." >&2; exit 1; }
    done
    install -D -m 644 "$work/3.11" "locks/$1.txt"
}

sed -n 's/^requires = \["\(.*\)"\]$/\1/p' pyproject.toml >"$work/build.in"
grep ^uv== constraints.txt >"$work/installer.in"
lock daemon pyproject.toml
lock report --extra report pyproject.toml
lock installer "$work/installer.in"
# Whatever the controller is.
compile --universal --python-version 3.10 --output-file locks/build.txt "$work/build.in"
