# SPDX-License-Identifier: MIT
"""systemd's part on a host of the tests' own: does what units note, and keeps no process."""

import shlex

from tests.support.host import Host

SYSTEMCTL = r"""#!/bin/bash
# usage as systemctl's; /run/units/UNIT is there while a unit runs, and says what was done to it.
units=/run/units
mkdir -p $units
arguments=()
for word; do
    case $word in -*) ;; *) arguments+=("$word") ;; esac
done
set -- "${arguments[@]}"
echo "$*" >>$units.log
action=$1 unit=${2%.service}.service
file=/etc/systemd/system/$unit
commands() {
    sed -n "s/^$1=//p" "$file" | grep -v '^/bin/kill' | while read -r command; do
        eval "$command" </dev/null
    done
}
start() {
    mkdir -p "/run/$(sed -n 's/^RuntimeDirectory=//p' "$file")"
    [ ! -e /run/broken ] || return 1
    echo "$1" >>$units/$unit
    commands ExecStartPost
}
case $action in
is-active) [ -e $units/$unit ] ;;
is-enabled) echo enabled ;;
start) [ -e $units/$unit ] || start start ;;
restart) start restart ;;
reload) echo reload >>$units/$unit; commands ExecReload ;;
stop) rm -f $units/$unit ;;
show)
    load=not-found
    if [ -e "$file" ] || [ -e "/run/packaged/$unit" ]; then load=loaded; fi
    echo LoadState=$load
    [ -e $units/$unit ] && echo ActiveState=active || echo ActiveState=inactive
    ;;
esac
"""


def with_services(host: Host) -> None:
    """Put it in systemctl's place."""
    program = host.folder / "systemctl"
    program.write_text(SYSTEMCTL)
    program.chmod(0o755)
    host.inside("mount", "-t", "tmpfs", "tmpfs", "/run")
    for folder in ("/usr/bin", "/bin"):
        quoted = shlex.quote(f"{folder}/systemctl")
        host.inside("sh", "-c", f"[ ! -e {quoted} ] || mount --bind {program} {quoted}")


def done_to(host: Host, unit: str) -> list[str]:
    """What was done to a unit since it was last stopped."""
    return host.inside("cat", f"/run/units/{unit}", check=False).stdout.split()


def asked_for(host: Host) -> list[str]:
    """Give all that systemctl was called with, but for questions."""
    lines = host.inside("cat", "/run/units.log", check=False).stdout.splitlines()
    return [line for line in lines if line.split()[0] not in ("show", "is-active", "is-enabled")]
