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
preempt=preempt=${SO1_TEST_PREEMPT:-full}
[ "$preempt" != preempt=default ] || preempt= # as the distribution has it
# An instruction of the guest is a nanosecond of its clock: what differs is counted, not timed.
threads=multi counted=()
[ -z "${SO1_TEST_ICOUNT:-}" ] || threads=single counted=(-icount "shift=0,sleep=off" -smp 1)
mkfifo "$work/monitor.in" "$work/monitor.out"
boot() {
    : > "$work/console"
    local watchers
    cat "$work/monitor.out" > "$work/monitor" 2> /dev/null &
    watchers=$!
    watch > /dev/null 2>&1 &
    watchers+=" $!"
    timeout -k 5 "${SO1_TEST_TIMEOUT:-300}" qemu-system-x86_64 -accel "tcg,thread=$threads" -cpu max \
        -smp "${SO1_TEST_CPUS:-2}" "${counted[@]}" -m "${SO1_TEST_MEMORY:-2048}" -display none -serial stdio -no-reboot -net none \
        -chardev "pipe,id=monitor,path=$work/monitor" -mon chardev=monitor \
        -drive "if=none,id=disk,format=raw,file=$work/disk" -device nvme,drive=disk,serial=1 -kernel "$kernel" -initrd "$work/initrd" \
        -append "console=ttyS0 quiet loglevel=5 panic=-1 oops=panic panic_on_warn=1 softlockup_panic=1 \
            unknown_nmi_panic panic_print=0x40 mitigations=off $preempt ${SO1_TEST_APPEND:-}" \
        < /dev/null 2>&1 | stdbuf -oL tr -d '\r' | tee -a "$work/console" || true
    # shellcheck disable=SC2086 # two numbers
    kill $watchers 2> /dev/null || true
}

# A guest that says nothing for so long stands still. It is made to panic, which shows what each CPU is at.
stands_still='guest stands still'
watch() {
    local before=-1 now
    while sleep "${SO1_TEST_SILENCE:-300}"; do
        now=$(stat -c %s "$work/console")
        [ "$now" != "$before" ] || break
        before=$now
    done
    echo "# $stands_still" >> "$work/console"
    printf 'info registers -a\nnmi\n' > "$work/monitor.in"
}

complaints='WARNING: |BUG: |Oops|Kernel panic|general protection|Call Trace|INFO: task|possible (circular|recursive) locking|suspicious RCU|KASAN|kmemleak: [0-9]+ new'

# Some things are the emulator's, not ours, and get another try; three in a row are a failure all the same.
# About one emulated boot in ten of a KASAN kernel dies while it brings up its second CPU, long before process 1.
# And QEMU 7.2 may go on executing an instruction that the kernel has patched since, such as the switch of a
# tracepoint, or what a module's coming and going patches: whoever comes by then never gets on. That is told from a
# hang of ours by what the CPUs were at; who sleeps in a module of ours is a complaint of the kernel's sooner.
# Or it executes the breakpoint that stands there while it is patched, and the kernel finds none: an oops whose code has
# no breakpoint (cc) before the place it came to.
ours='\[(sysinfo|continfo|so1_exits|so2_memlimit)\]|\bso[12]_[a-z_]+\+0x'
no_breakpoint() {
    local trap
    trap=$(sed '1,/int3: 0000/d; /Code:/q' "$work/console")
    ! sed '/int3: 0000/Q' "$work/console" | grep -qE "$complaints|^not ok" &&
        grep -q 'Code:' <<< "$trap" && ! grep -qE "Code:.* cc <|$ours" <<< "$trap"
}

for attempt in 1 2 3; do
    boot
    if ! grep -q 'SO1-KERNEL-TESTS-BEGIN' "$work/console"; then
        echo "boot $attempt of $(basename "$kernel") did not reach process 1" >&2
    elif grep -q "$stands_still" "$work/console" &&
        ! sed "/$stands_still/q" "$work/console" | grep -qE "$complaints|^not ok" &&
        ! sed "1,/$stands_still/d" "$work/console" | grep -qE "$ours"; then
        echo "boot $attempt of $(basename "$kernel") stood still, and no CPU was in a module of ours" >&2
        grep -aE '^CPU#|^RIP|^EIP' "$work/monitor" >&2 || true
    elif no_breakpoint; then
        echo "boot $attempt of $(basename "$kernel") met a breakpoint where the kernel has none" >&2
        grep -m 3 -A 6 'int3: 0000' "$work/console" >&2
    else
        break
    fi
done

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
