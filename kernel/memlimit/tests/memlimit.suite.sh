# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# Runs in the guest (init.sh): the limiter's tests, through the door that this kernel has.
module=/modules/so2_memlimit.ko
[ ! -e $module ] || insmod $module gid=1234
for program in errors privileges enforcement; do
    "/tests/$program"
done
[ ! -e $module ] || rmmod so2_memlimit
