#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Fetches a stock Debian kernel into the cache, never installed: kernel.sh METAPACKAGE,
# such as linux-image-cloud-amd64. Prints the bzImage and the headers' directory.
set -euo pipefail
cache=${SO1_CACHE:-$(cd "$(dirname "$0")/../.." && pwd)/.cache}/kernels
package=$(apt-cache depends "$1" | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
release=${package#linux-image-}
if [ ! -e "$cache/$release/boot/vmlinuz-$release" ]; then
    mkdir -p "$cache/$release"
    (cd "$cache" && apt-get -qq -o APT::Sandbox::User=root download "$package" >&2)
    dpkg-deb -x "$cache/${package}_"*.deb "$cache/$release"
    rm "$cache/${package}_"*.deb
    rm -r "${cache:?}/$release/lib" "${cache:?}/$release/usr"
fi
headers=/usr/src/linux-headers-$release
[ -d "$headers" ] || { echo "install linux-headers-$release" >&2; exit 1; }
echo "$cache/$release/boot/vmlinuz-$release $headers"
