#!/bin/sh
# SPDX-License-Identifier: MIT
# On the VM: makes a user who logs in with the lab's key, and whom sudo asks for the password on standard input.
set -eu

id operator >/dev/null 2>&1 || useradd --create-home --shell /bin/bash --groups sudo operator
echo "operator:$(cat)" | chpasswd
install -d -o operator -g operator -m 700 /home/operator/.ssh
install -o operator -g operator -m 600 /root/.ssh/authorized_keys /home/operator/.ssh
! setpriv --reuid=operator --regid=operator --init-groups sudo --non-interactive true 2>/dev/null
