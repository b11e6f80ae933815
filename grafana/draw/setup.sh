#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what the dashboards are drawn with: Debian's packages, Grafana's libraries, and the page made of both.
set -euo pipefail
cd "$(dirname "$0")"
cache=${SO1_CACHE:-$PWD/../../.cache}/draw

root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

missing=()
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
[ -x /usr/bin/chromium ] || missing+=(chromium)
if [ ${#missing[@]} -gt 0 ]; then
    echo "draw: installing ${missing[*]}"
    root apt-get update -qq
    root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

mkdir -p "$cache"
if ! cmp -s package.json "$cache/installed.json"; then
    echo "draw: installing Grafana's libraries (one to three minutes, 620 MB, once)"
    rm -f "$cache/installed.json"
    cp package.json "$cache"
    # No script of a package runs, and no lock file is kept: package.json pins what is used.
    npm install --prefix "$cache" --ignore-scripts --legacy-peer-deps --no-package-lock --no-audit --no-fund \
        --loglevel=error
    cp package.json "$cache/installed.json"
fi

made=$(cat package.json build.mjs page/* | sha256sum)
if [ "$(cat "$cache/dist/made" 2>/dev/null)" != "$made" ]; then
    rm -rf "$cache/page"
    cp -r page build.mjs "$cache"
    (cd "$cache" && node build.mjs)
    echo "$made" >"$cache/dist/made"
fi
