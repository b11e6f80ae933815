#!/bin/bash
# SPDX-License-Identifier: MIT
# On the VM: what a host may have of its own beneath our names. A user, a folder, a command, a service and a container,
# and a Grafana on the port of ours. With «gone», its owner takes it away again.
set -eu

unit=/etc/systemd/system
accounts=(passwd shadow group gshadow subuid subgid) kept=/run/accounts
if [ "${1:-}" != gone ]; then
    # The copies that useradd keeps of what was before.
    install -d -m 700 $kept
    for name in "${accounts[@]}"; do
        [ ! -e "/etc/$name-" ] || cp -a "/etc/$name-" $kept
    done
    useradd --create-home --base-dir /srv --comment 'a student' so1
    install -d -o so1 -g so1 /opt/so1 /etc/so1
    echo 'int main(void);' >/opt/so1/exam.c
    echo 'notes = 1' >/etc/so1/config.toml
    printf '#!/bin/sh\necho a course\n' >/usr/local/bin/so1
    chmod 755 /usr/local/bin/so1
    printf '[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n' >$unit/so1.service
    printf '[Service]\nExecStart=%s\n[Install]\nWantedBy=multi-user.target\n' \
        '/usr/bin/python3 -m http.server --bind 127.0.0.1 --directory /srv/so1 3000' >$unit/grafana-server.service
    systemctl enable --quiet --now so1.service grafana-server.service
    docker create --name grafana_so1 --volume grafana_so1:/var/lib/grafana so1-lab/alpine sleep 1 >/dev/null
else
    docker rm --volumes grafana_so1 >/dev/null
    docker volume rm --force grafana_so1 >/dev/null
    systemctl disable --quiet --now so1.service grafana-server.service
    rm -rf $unit/so1.service $unit/grafana-server.service /usr/local/bin/so1 /etc/so1 /opt/so1
    systemctl daemon-reload
    userdel --remove so1
    for name in "${accounts[@]}"; do
        rm -f "/etc/$name-"
        [ ! -e "$kept/$name-" ] || cp -a "$kept/$name-" /etc
    done
    rm -r $kept
fi
