#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# On the host: the installed versions of the package, each in a venv of its own beneath PREFIX/releases. PREFIX/venv is a
# link to the one in use, PREFIX/previous to the one before; PREFIX/.untried says that the one in use has not run yet.
# A version that is no longer in use keeps its configuration and its unit: an older one would refuse newer settings.
#
# usage: release.sh PREFIX CONFIGURATION UNIT ACTION
#   install ARCHIVE STAMP pypi|wheelhouse [EXTRA]   installs a version and puts it in use
#   restart   starts the daemon anew; a version that does not start gives way to the one before
#   back      puts the version before in use, with its configuration and its unit
set -euo pipefail
umask 022 # whatever the login's is: the daemon's user and everybody who calls so1 reads what is installed
cd "$1"
settings=("$2" "$3")

# Replaces a link in one step.
link() {
    ln -sfn "$1" ".$2"
    mv -T ".$2" "$2"
}

# Keeps with a version the settings that it runs with.
keep_settings() {
    local file
    mkdir -p "$1/settings"
    for file in "${settings[@]}"; do
        [ ! -e "$file" ] || cp -p "$file" "$1/settings/"
    done
}

# Puts the settings of the version in use in their places.
restore_settings() {
    local file kept
    for file in "${settings[@]}"; do
        kept=venv/settings/${file##*/}
        [ -e "$kept" ] || continue
        cp -p "$kept" "$file.new"
        mv -T "$file.new" "$file"
    done
}

install() {
    local archive=$1 release=releases/$2 from=$3 extra=${4:-} wheels uv add in_use old
    wheels=$(mktemp -d)
    # shellcheck disable=SC2064 # its value now
    trap "rm -rf '$wheels'" EXIT
    tar -C "$wheels" -xf "$archive"
    /usr/bin/python3 -m zipfile -e "$wheels"/uv-*.whl "$wheels/uv"
    uv=$(echo "$wheels"/uv/*.data/scripts/uv)
    chmod +x "$uv"
    # Nothing of the login's counts, and no cache stays.
    uv=("$uv" --quiet --no-config --no-cache)

    rm -rf "$release" # of a run that was cut off
    "${uv[@]}" venv --python /usr/bin/python3 "$PWD/$release"
    add=("${uv[@]}" pip install --python "$release/bin/python" --system-certs --link-mode copy)
    [ "$from" = pypi ] || add+=(--no-index --find-links "$wheels")
    # What comes from elsewhere must have its hashes; our own wheel came from the controller.
    "${add[@]}" --require-hashes --requirement "$wheels/daemon.txt"
    "${add[@]}" --no-deps "$wheels"/so1-*.whl
    # Compiled here, by all CPUs: the daemon's user may not write beside its modules. What only `so1 report` loads is two
    # thirds of it all, and is compiled when root first runs that.
    "$release/bin/python" -m compileall -qq -j 0 "$release/lib" || true
    [ -z "$extra" ] || "${add[@]}" --require-hashes --requirement "$wheels/report.txt"
    "$release/bin/so1" --help >/dev/null

    # Until 0.1.0 the venv was a folder.
    if [ -d venv ] && [ ! -L venv ]; then
        rm -rf releases/before
        mv venv releases/before
        link releases/before venv
    fi
    in_use=$(readlink venv || true)
    if [ -n "$in_use" ] && [ "$in_use" != "$release" ]; then
        keep_settings "$in_use"
        link "$in_use" previous
    fi
    touch .untried
    link "$release" venv
    for old in releases/*; do
        [ "$old" = "$release" ] || [ "$old" = "$(readlink previous || true)" ] || rm -rf "$old"
    done
    rm -f "$archive"
}

back() {
    local in_use
    if [ ! -L previous ]; then
        echo "There is no version before the one in use; install the one you want from its checkout." >&2
        return 1
    fi
    in_use=$(readlink venv)
    keep_settings "$in_use"
    link "$(readlink previous)" venv
    link "$in_use" previous
    restore_settings
}

restart() {
    systemctl daemon-reload
    if systemctl restart so1.service; then
        rm -f .untried
        return
    fi
    if [ -e .untried ] && [ -L previous ]; then
        rm .untried
        back
        systemctl daemon-reload
        systemctl restart so1.service
        echo "The new version did not start, so the one before runs again; \`journalctl -u so1\` says why." >&2
    else
        echo "The daemon did not start; \`journalctl -u so1\` says why." >&2
    fi
    return 1
}

"$4" "${@:5}"
