#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs the plays against the lab VM, unless what is installed there is of the same sources. Their name lies with what
# is installed: whatever removes that, removes the name.
set -euo pipefail
cd "$(dirname "$0")/.."

stamp=/opt/so1/.lab
# A file that is not committed counts, one that was deleted does not.
sources=$(git ls-files -z --cached --others --exclude-standard --deduplicate -- \
    ansible.cfg site.yml playbooks roles library kernel python grafana inventory lab |
    { xargs -0 sha256sum 2>/dev/null || true; } | sha256sum | cut -c -64)
if [ "$(lab/vm.py ssh "cat $stamp 2>/dev/null" || true)" = "$sources" ]; then
    echo "lab: set up from these sources already; ansible-playbook site.yml would look at all of it again"
else
    ansible-playbook lab/prepare.yml
    ansible-playbook site.yml
    lab/vm.py ssh "echo $sources >$stamp"
fi
ansible-playbook playbooks/overview.yml
