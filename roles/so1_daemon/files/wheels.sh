#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# On the controller: makes the package's wheel, adds uv, which installs it, and for a host that cannot fetch them the
# wheels of all it needs. What is downloaded must have the hashes of SOURCE_TREE/locks.
# Prints the archive they are in, which is named after what it was made of.
#
# usage: wheels.sh SOURCE_TREE WHEELS PYTHON HOST_PYTHON_VERSION|none [EXTRA]
#        SO1_ARCHIVE=FOLDER wheels.sh ...   downloads nothing; the wheels are in FOLDER, where archive.sh put them
set -euo pipefail

tree=$1 wheels=$2 python=$3 version=$4 extra=${5:-}
locks=$tree/locks

"$python" -m pip --version >/dev/null 2>&1 || {
    echo "The controller's Python ($python) has no pip, which makes the daemon's wheel; run \`$python -m ensurepip\`." >&2
    exit 1
}
name=$(cd "$tree" && find src locks pyproject.toml README.md -type f ! -name '*.pyc' -print0 |
    sort -z | xargs -0 sha256sum | cat - <(echo "$version $extra") "$0" | sha256sum | cut -c -16)
archive=$wheels/$name.tar

pip() {
    "$python" -m pip --quiet --disable-pip-version-check "$@" >&2
}

if [ ! -f "$archive" ]; then
    locked=(--require-hashes --only-binary :all:)
    if [ -n "${SO1_ARCHIVE:-}" ]; then
        [ -d "$SO1_ARCHIVE" ] || { echo "so1_archive names no folder on the controller: $SO1_ARCHIVE" >&2; exit 1; }
        locked+=(--no-index --find-links "$SO1_ARCHIVE")
    fi
    mkdir -p "$wheels"
    work=$(mktemp -d "$wheels/.$name.XXXXXX")
    build=$(mktemp -d)
    trap 'rm -rf "$work" "$build"' EXIT
    pip install "${locked[@]}" --target "$build" --requirement "$locks/build.txt"
    PYTHONPATH=$build pip wheel --no-deps --no-build-isolation --wheel-dir "$work" "$tree"
    cp "$locks/daemon.txt" "$locks/report.txt" "$work"
    pip download "${locked[@]}" --platform manylinux2014_x86_64 --dest "$work" --requirement "$locks/installer.txt"
    if [ "$version" != none ]; then
        # What pip on Debian 12 and later takes; glibc 2.36.
        platforms=()
        for tag in manylinux_2_{36,35,34,33,32,31,30,29,28,27,26,25,24,17,12,5} manylinux2014 manylinux2010 manylinux1; do
            platforms+=(--platform "${tag}_x86_64")
        done
        pip download "${locked[@]}" --python-version "$version" --implementation cp "${platforms[@]}" --dest "$work" \
            --requirement "$locks/$([ -z "$extra" ] && echo daemon || echo report).txt"
    fi
    tar -C "$work" --owner=0 --group=0 --mode=u=rwX,go=rX -cf "$work.tar" .
    mv "$work.tar" "$archive"
fi
echo "$archive"
