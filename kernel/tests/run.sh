#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Boots a kernel straight into test programs: run.sh KERNEL MODULES SUITE PROGRAM...
# KERNEL is a bzImage, MODULES a directory of .ko files, SUITE the shell script that
# runs in the guest, where they are /modules and /tests. The run passes only if the
# guest says so in its last word and the console holds no complaint of the kernel.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
kernel=$1 modules=$2 suite=$3
shift 3

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{bin,proc,sys,dev,tmp,cgroup,modules,tests}
cp /bin/busybox "$root/bin/"
find "$modules" -name "*.ko" -exec cp {} "$root/modules/" \;
cp "$@" "$root/tests/"
cp "$here/init.sh" "$root/init"
cp "$suite" "$root/suite.sh"
case "$*" in *.py*) python3 "$here/guest_python.py" "$root" ;; esac
chmod 755 "$root/init"
# A disk, for kernels that count what is read and written; Debian's have NVMe built in.
truncate -s 64M "$work/disk"
# Not compressed: an emulated kernel would take longer to unpack it than to boot.
(cd "$root" && find . | cpio --quiet -o -H newc) > "$work/initrd"

# A hang is a failure; so is a reset (-no-reboot), which is what a panic ends in.
# QEMU 7.2 may keep what it translated from an instruction while the kernel was patching it, such as the switch of
# a tracepoint: whoever comes by then never gets on, and with voluntary preemption nobody else does, on that CPU.
preempt=preempt=${SO1_TEST_PREEMPT:-full}
[ "$preempt" != preempt=default ] || preempt= # as the distribution has it
boot() {
    timeout -k 5 "${SO1_TEST_TIMEOUT:-300}" qemu-system-x86_64 -accel tcg,thread=multi -cpu max \
        -smp "${SO1_TEST_CPUS:-2}" -m "${SO1_TEST_MEMORY:-2048}" -nographic -no-reboot -net none \
        -drive "if=none,id=disk,format=raw,file=$work/disk" -device nvme,drive=disk,serial=1 -kernel "$kernel" -initrd "$work/initrd" \
        -append "console=ttyS0 quiet loglevel=5 panic=-1 oops=panic panic_on_warn=1 softlockup_panic=1 \
            mitigations=off $preempt ${SO1_TEST_APPEND:-}" \
        < /dev/null 2>&1 | stdbuf -oL tr -d '\r' | tee "$work/console" || true
}

# About one emulated boot in ten of a KASAN kernel dies while it brings up its second CPU, long before
# process 1 and any code of ours. Three such boots in a row are a failure all the same.
for attempt in 1 2 3; do
    boot
    ! grep -q 'SO1-KERNEL-TESTS-BEGIN' "$work/console" || break
    echo "boot $attempt of $(basename "$kernel") did not reach process 1" >&2
done

complaints='WARNING: |BUG: |Oops|Kernel panic|general protection|Call Trace|INFO: task|possible (circular|recursive) locking|suspicious RCU|KASAN|kmemleak: [0-9]+ new'
passed=$(grep -c '^ok ' "$work/console" || true)
failed=$(grep -c '^not ok ' "$work/console" || true)
verdict=1
if ! grep -qE "$complaints" "$work/console" && grep -qx 'SO1-KERNEL-TESTS-SUCCEEDED' "$work/console" &&
    [ "$passed" -gt 0 ] && [ "$failed" -eq 0 ]; then
    verdict=0
else
    grep -E -m 3 -A 60 "$complaints" "$work/console" >&2 || true
    [ "$failed" -gt 0 ] || failed=1 # the run itself: no word of success, or a complaint
fi
echo "$(basename "$kernel"): $passed passed, $failed failed, $SECONDS s"
exit $verdict
