#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# On a machine that has a route: fills a folder with every wheel that a controller without one needs (so1_archive).
#
# usage: archive.sh FOLDER HOST_PYTHON_VERSION...   3.11 is Debian 12's, 3.13 is Debian 13's
set -euo pipefail

[ $# -ge 2 ] || { sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 2; }
folder=$1
locks=$(cd "$(dirname "$0")/../../../python/locks" && pwd)
mkdir -p "$folder"
download=(python3 -m pip download --quiet --disable-pip-version-check --require-hashes --only-binary :all: --dest "$folder")
"${download[@]}" --requirement "$locks/build.txt"
"${download[@]}" --platform manylinux2014_x86_64 --requirement "$locks/installer.txt"
for version in "${@:2}"; do
    platforms=()
    for tag in manylinux_2_{36,35,34,33,32,31,30,29,28,27,26,25,24,17,12,5} manylinux2014 manylinux2010 manylinux1; do
        platforms+=(--platform "${tag}_x86_64")
    done
    "${download[@]}" --python-version "$version" --implementation cp "${platforms[@]}" --requirement "$locks/report.txt"
done
