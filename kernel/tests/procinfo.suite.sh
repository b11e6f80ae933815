# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# Runs in the guest (init.sh): the tests of sysinfo.ko, continfo.ko and so1_exits.ko.
/tests/loading
/tests/exits
python3 /tests/exits_followed.py
insmod /modules/sysinfo.ko gid=1234
insmod /modules/continfo.ko gid=1234
for program in reads names fields containers; do
    "/tests/$program"
done
rmmod sysinfo
rmmod continfo
[ ! -e /proc/sysinfo_so1_202300539 ]
