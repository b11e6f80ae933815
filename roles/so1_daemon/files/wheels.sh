#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# On the controller: makes the package's wheel, adds uv, which installs it, and for a host that cannot fetch them the
# wheels of all it needs.
# Prints the archive they are in, which is named after what it was made of.
#
# usage: wheels.sh SOURCE_TREE WHEELS PYTHON HOST_PYTHON_VERSION|none [EXTRA]
set -euo pipefail

tree=$1 wheels=$2 python=$3 version=$4 extra=${5:-}
constraints=$tree/constraints.txt

"$python" -m pip --version >/dev/null 2>&1 || {
    echo "The controller's Python ($python) has no pip, which makes the daemon's wheel; run \`$python -m ensurepip\`." >&2
    exit 1
}
name=$(cd "$tree" && find src pyproject.toml constraints.txt README.md -type f ! -name '*.pyc' -print0 |
    sort -z | xargs -0 sha256sum | cat - <(echo "$version $extra") "$0" | sha256sum | cut -c -16)
archive=$wheels/$name.tar
if [ ! -f "$archive" ]; then
    mkdir -p "$wheels"
    work=$(mktemp -d "$wheels/.$name.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    "$python" -m pip wheel -q --disable-pip-version-check --no-deps --wheel-dir "$work" "$tree" >&2
    cp "$constraints" "$work"
    "$python" -m pip download -q --disable-pip-version-check --only-binary :all: --no-deps \
        --platform manylinux2014_x86_64 --dest "$work" "$(grep ^uv== "$constraints")" >&2
    if [ "$version" != none ]; then
        # What pip on Debian 12 and later takes; glibc 2.36.
        platforms=()
        for tag in manylinux_2_{36,35,34,33,32,31,30,29,28,27,26,25,24,17,12,5} manylinux2014 manylinux2010 manylinux1; do
            platforms+=(--platform "${tag}_x86_64")
        done
        "$python" -m pip download -q --disable-pip-version-check --only-binary :all: \
            --python-version "$version" --implementation cp "${platforms[@]}" \
            --constraint "$constraints" --dest "$work" "$(echo "$work"/so1-*.whl)$extra" >&2
    fi
    tar -C "$work" --owner=0 --group=0 --mode=u=rwX,go=rX -cf "$work.tar" .
    mv "$work.tar" "$archive"
fi
echo "$archive"
