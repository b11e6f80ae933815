# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# Runs in the guest (init.sh): the limiter's tests, through the door that this kernel has.
# SO1_MANY, SO1_SECONDS (kernel command line): how many processes, how long to stress and fuzz.
module=/modules/so2_memlimit.ko
[ ! -e $module ] || insmod $module gid=1234
for program in errors privileges enforcement identity listing; do
    "/tests/$program"
done
python3 /tests/clients.py
/tests/many "${SO1_MANY:-10000}"
/tests/fuzz "${SO1_SECONDS:-8}"
if [ -e $module ]; then
    python3 /tests/upgrade.py
    rmmod so2_memlimit
    /tests/unloading
fi
/tests/stress "${SO1_SECONDS:-8}"
