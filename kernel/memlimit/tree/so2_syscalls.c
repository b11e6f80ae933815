// SPDX-License-Identifier: GPL-2.0
/* The door of a patched kernel: system calls 557 to 560. */
#include <linux/init.h>
#include <linux/syscalls.h>

#include "so2_core.h"

SYSCALL_DEFINE2(so2_add_memory_limit, pid_t, pid, size_t, limit)
{
	return so2_add(pid, limit);
}

SYSCALL_DEFINE3(so2_get_memory_limits, struct memory_limitation __user *, processes, size_t,
		max_entries, int __user *, processes_returned)
{
	return so2_get(processes, max_entries, processes_returned);
}

SYSCALL_DEFINE2(so2_update_memory_limit, pid_t, pid, size_t, limit)
{
	return so2_update(pid, limit);
}

SYSCALL_DEFINE1(so2_remove_memory_limit, pid_t, pid)
{
	return so2_remove(pid);
}

static int __init so2_init(void)
{
	int ret = so2_core_init();

	/* Entries that outlive their processes would be worse than no kernel. */
	if (ret)
		panic("so2_memlimit: cannot follow the exit of processes (%d)", ret);
	return so2_proc_init();
}
late_initcall(so2_init);
