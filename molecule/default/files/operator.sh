#!/bin/sh
# SPDX-License-Identifier: MIT
# On the VM: makes a user who logs in with the lab's key, and whom sudo asks for the password on standard input.
set -eu

id deploy >/dev/null 2>&1 || useradd --create-home --shell /bin/bash --groups sudo deploy
echo "deploy:$(cat)" | chpasswd
install -d -o deploy -g deploy -m 700 /home/deploy/.ssh
install -o deploy -g deploy -m 600 /root/.ssh/authorized_keys /home/deploy/.ssh
! setpriv --reuid=deploy --regid=deploy --init-groups sudo --non-interactive true 2>/dev/null
