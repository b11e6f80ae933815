// SPDX-License-Identifier: GPL-2.0
/* /proc/sysinfo_so1_<suffix>: the host's memory and all its processes, as JSON. */
#include <linux/module.h>

#include "so1_process.h"
#include "so1_version.h"

static char *suffix = "202300539";
module_param(suffix, charp, 0444);
MODULE_PARM_DESC(suffix, "end of the file's name: letters, digits, - and _, at most 32");

static unsigned int gid;
module_param(gid, uint, 0444);
MODULE_PARM_DESC(gid, "group that may read the file");

static struct proc_dir_entry *entry;

static int so1_render(struct so1_document *doc)
{
	u64 taken = ktime_get_boottime_ns();
	struct sysinfo info;
	unsigned long total, free;
	int ret;

	si_meminfo(&info);
	total = so1_kib(info.totalram, info.mem_unit);
	free = so1_kib(info.freeram, info.mem_unit);

	ret = so1_reserve(doc, SO1_PROCESS_MAX);
	if (ret)
		return ret;
	so1_put_literal(doc, "{\"total_ram\":");
	so1_put_u64(doc, total);
	so1_put_field(doc, "free_ram", free);
	so1_put_field(doc, "used_ram", total - free);
	so1_put_field(doc, "available_ram", so1_kib(si_mem_available(), PAGE_SIZE));
	so1_put_field(doc, "taken_ns", taken);
	so1_put_literal(doc, ",\"processes\":[");
	ret = so1_put_processes(doc, total, false);
	if (ret)
		return ret;
	so1_put_literal(doc, "]}\n");
	return 0;
}

static int __init sysinfo_init(void)
{
	return so1_document_create("sysinfo_so1_", suffix, gid, &entry);
}

static void __exit sysinfo_exit(void)
{
	proc_remove(entry);
}

module_init(sysinfo_init);
module_exit(sysinfo_exit);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("SO1");
MODULE_DESCRIPTION("The host's memory and all its processes as JSON under /proc");
MODULE_VERSION(SO1_PROCINFO_VERSION);
