#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Writes the patch series that gives a kernel tree the system calls: series.sh TREE OUTPUT.
# The sources are those of the module, unchanged; TREE is only read.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tree=$1
mkdir -p "$2"
output=$(cd "$2" && pwd)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mapfile -t touched < "$here/tree/touched"
(cd "$tree" && cp --parents "${touched[@]}" "$work")
cd "$work"

record() {
    git add -A
    git -c user.name=SO1 -c user.email=so1@localhost -c commit.gpgsign=false commit -q "$@"
}

git init -q .
record -m base

mkdir -p mm/so2_memlimit include/uapi/linux
cp "$here"/so2_{core,proc}.c "$here"/so2_{core,compat}.h "$here"/so1_{document,json,proc}.h "$here/tree/so2_memlimit_uapi.h" mm/so2_memlimit/
cp "$here/so2_memlimit_uapi.h" include/uapi/linux/so2_memlimit.h
record -m "mm: so2_memlimit: the list of limited processes" \
    -m "An administrator caps how much address space a running process may have. The list, the
four operations on it, what enforces it, and the list as JSON in
/proc/so2_memory_limits. Nothing calls it yet."

cp "$here"/tree/{Kconfig,Makefile,so2_syscalls.c} mm/so2_memlimit/
sed -i '$s|^endmenu$|source "mm/so2_memlimit/Kconfig"\n\nendmenu|' mm/Kconfig
cat >> mm/Makefile <<'MAKE'
obj-$(CONFIG_SO2_MEMLIMIT) += so2_memlimit/
MAKE
cat >> kernel/sys_ni.c <<'SYS'

/* mm/so2_memlimit */
COND_SYSCALL(so2_add_memory_limit);
COND_SYSCALL(so2_get_memory_limits);
COND_SYSCALL(so2_update_memory_limit);
COND_SYSCALL(so2_remove_memory_limit);
SYS
sed -i '$d' include/linux/syscalls.h # the #endif
cat >> include/linux/syscalls.h <<'SYS'

/* mm/so2_memlimit */
struct memory_limitation;
asmlinkage long sys_so2_add_memory_limit(pid_t pid, size_t limit);
asmlinkage long sys_so2_get_memory_limits(struct memory_limitation __user *processes,
					  size_t max_entries, int __user *processes_returned);
asmlinkage long sys_so2_update_memory_limit(pid_t pid, size_t limit);
asmlinkage long sys_so2_remove_memory_limit(pid_t pid);
#endif
SYS
printf '%s\n' "" \
    "557	common	so2_add_memory_limit	sys_so2_add_memory_limit" \
    "558	common	so2_get_memory_limits	sys_so2_get_memory_limits" \
    "559	common	so2_update_memory_limit	sys_so2_update_memory_limit" \
    "560	common	so2_remove_memory_limit	sys_so2_remove_memory_limit" \
    >> arch/x86/entry/syscalls/syscall_64.tbl
record -m "mm: so2_memlimit: system calls 557 to 560" \
    -m "Add, get, update and remove, on x86-64."

rm -f "$output"/[0-9][0-9][0-9][0-9]-mm-so2_memlimit-*.patch
git format-patch -q -o "$output" --no-signature HEAD~2
