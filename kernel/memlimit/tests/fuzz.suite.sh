# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# Runs in the guest (init.sh): every door at random, for SO1_SECONDS.
for module in /modules/*.ko; do
    [ ! -e "$module" ] || insmod "$module" gid=1234
done
/tests/fuzz "${SO1_SECONDS:-60}"
