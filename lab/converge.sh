#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs site.yml against the lab VM, unless what is installed there is of the same sources. A hash of them is stored on
# the VM beside what is installed, so removing SO1 removes it.
set -euo pipefail
cd "$(dirname "$0")/.."

stamp=/opt/so1/.lab
# A file that is not committed counts, one that was deleted does not; nor do tests.
sources=$(git ls-files -z --cached --others --exclude-standard --deduplicate -- \
    ansible.cfg site.yml playbooks roles library kernel python grafana inventory lab \
    ':!kernel/tests' ':!kernel/memlimit/tests' |
    { xargs -0 sha256sum 2>/dev/null || true; } | sha256sum | cut -c -64)
if [ "$(lab/vm.py ssh "cat $stamp 2>/dev/null" || true)" = "$sources" ]; then
    echo "lab: set up from these sources already; ansible-playbook site.yml would look at all of it again"
    exit
fi
# Each task of plain Ansible starts a Python, which takes an emulated CPU two seconds; Mitogen keeps one running.
[ ! -e .venv/strategy ] || export ANSIBLE_STRATEGY=mitogen_linear ANSIBLE_STRATEGY_PLUGINS=$PWD/.venv/strategy
ansible-playbook site.yml
lab/vm.py ssh "echo $sources >$stamp"
