#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Makes targets, two at a time, the first ones first. After one has failed no other is begun, and it has the last word.
#
# usage: parallel.sh TARGET...
set -euo pipefail
cd "$(dirname "$0")/.."

export logs=${SO1_CACHE:-$PWD/.cache}/log
mkdir -p "$logs"
rm -f "$logs"/*

# xargs begins nothing more after a 255
# shellcheck disable=SC2016 # the inner shell's
printf '%s\n' "$@" | xargs -P 2 -I TARGET bash -o pipefail -c '
    make --no-print-directory TARGET 2>&1 | tee "$logs/TARGET" || { touch "$logs/TARGET.failed"; exit 255; }
' && exit

for failed in "$logs"/*.failed; do
    target=$(basename "$failed" .failed)
    echo "== $target failed; the end of $logs/$target:"
    tail -n 100 "$logs/$target"
done
exit 1
