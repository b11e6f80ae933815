#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# Process 1 of the guest: runs the suite, says whether it succeeded, ends the machine.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t cgroup2 cgroup /cgroup
mount -t debugfs debug /sys/kernel/debug

echo SO1-KERNEL-TESTS-BEGIN
sh -eu /suite.sh < /dev/null
status=$?

leaks=/sys/kernel/debug/kmemleak
if [ -e $leaks ]; then
    # What was freed a moment ago may still be on a stack: only a second look counts.
    echo scan > $leaks
    sleep 6
    echo scan > $leaks
    # The file's size says 0 whatever is in it.
    cat $leaks > /tmp/leaks
    if [ -s /tmp/leaks ]; then
        cat /tmp/leaks
        echo "not ok - memory that nothing refers to"
        status=1
    fi
fi
[ $status -ne 0 ] || echo SO1-KERNEL-TESTS-SUCCEEDED
# QEMU ends at a reset; a debug kernel, without ACPI, cannot power off.
reboot -f
