#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# On the host: installs the archive's wheels in the venv, made anew where its Python is not the host's any more.
#
# usage: install.sh PREFIX ARCHIVE STAMP pypi|wheelhouse [EXTRA]
set -euo pipefail
umask 022 # whatever the login's is: the daemon's user and everybody who calls so1 reads what is installed

venv=$1/venv archive=$2 stamp=$3 from=$4 extra=${5:-}
wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
tar -C "$wheels" -xf "$archive"

"$venv/bin/python" -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != sys.argv[1])' \
    "$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')" 2>/dev/null ||
    /usr/bin/python3 -m venv --clear "$venv"
rm -f "$venv/.installed"

pip=("$venv/bin/pip" install -q --disable-pip-version-check --no-cache-dir --no-compile
     --constraint "$wheels/constraints.txt")
[ "$from" = pypi ] || pip+=(--no-index --find-links "$wheels")
# The same version may be of other sources.
[ ! -e "$venv/bin/so1" ] || "$venv/bin/pip" uninstall -q -y so1
"${pip[@]}" "$(echo "$wheels"/so1-*.whl)$extra"
# By all CPUs, and without the packages' own tests, which are a third. What is not valid Python in the version at hand
# stays as it is, as with pip.
"$venv/bin/python" -m compileall -qq -j 0 -x '/tests/' "$venv/lib" || true

# Last: an installation that was cut off is done again.
echo "$stamp" >"$venv/.installed"
rm -f "$archive"
