#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Lists what SO1 could leave on a host: files that no package owns, users, groups, modules, units, containers; and what
# a host has kept if nothing was done to it at all: packages, and what is in the files of /etc. Not what Debian's
# packages make themselves, such as the key that DKMS signs with or dpkg's backup at midnight, nor what the refusals
# cover for a while.
#
# usage: inventory.sh FILE
set -euo pipefail

exec >"$1"
find /etc /usr /opt /root /home /var /srv -xdev \
    \( -path /var/lib/docker -o -path /var/lib/containerd -o -path /var/lib/dpkg -o -path /var/lib/apt \
    -o -path /var/lib/systemd -o -path /var/lib/sudo -o -path /var/lib/ucf -o -path '/var/lib/dkms/mok.*' \
    -o -path /var/backups -o -path /var/cache -o -path /var/log -o -path /var/tmp -o -path '/usr/lib/modules/*' \
    -o -path /root/.ansible -o -path /home/deploy -o -path /root/before -o -path /root/converged -o -path /root/now -o -path /root/removed -o -name __pycache__ \) -prune \
    -o -print | LC_ALL=C sort >/tmp/.all
cat /var/lib/dpkg/info/*.list | LC_ALL=C sort -u >/tmp/.owned
LC_ALL=C comm -23 /tmp/.all /tmp/.owned | sed 's/^/file /'
rm -f /tmp/.all /tmp/.owned
find /usr/lib/modules -name '*.ko*' -path '*updates*' | sed 's/^/file /'
getent passwd | cut -d: -f1 | sed 's/^/user /'
getent group | cut -d: -f1 | sed 's/^/group /'
awk '{print "module " $1}' /proc/modules | grep -E 'sysinfo|continfo|so[12]_' || true
ls -d /proc/*so1* /proc/*so2* 2>/dev/null || true
# Right after packages were removed, and on a busy machine, systemd may be slow to answer.
units() { systemctl list-unit-files --state=enabled --no-legend; }
{ units || units || units || units; } | awk '{print "enabled " $1}'
docker ps --all --format 'container {{.Names}}'
docker volume ls --format 'volume {{.Name}}'
docker image ls --format 'image {{.Repository}}:{{.Tag}}'
dpkg-query --show --showformat 'package ${Package} ${Version}\n'
find /etc -xdev -type f ! -path /etc/debian_version ! -path /etc/apt/sources.list -exec sha256sum {} + |
    LC_ALL=C sort --key=2 | sed 's/^/content /'
