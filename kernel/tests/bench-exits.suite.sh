# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# Runs in the guest (init.sh): what an exit costs with so1_exits.ko and without.
/tests/exit_cost
