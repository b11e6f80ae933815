#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs the plays against the lab VM, unless they ran to their end on this disk from the same sources.
set -euo pipefail
cd "$(dirname "$0")/.."

stamp=${SO1_CACHE:-.cache}/lab/vm-lab/converged
sources=$(git ls-files -z -- ansible.cfg site.yml playbooks roles library kernel python grafana inventory lab |
    xargs -0 sha256sum | sha256sum)
if [ "$(cat "$stamp" 2>/dev/null)" = "$sources" ]; then
    echo "lab: set up from these sources already; ansible-playbook site.yml would look at all of it again"
else
    ansible-playbook lab/prepare.yml
    ansible-playbook site.yml
    echo "$sources" >"$stamp"
fi
ansible-playbook playbooks/overview.yml
