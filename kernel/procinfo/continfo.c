// SPDX-License-Identifier: GPL-2.0
/* /proc/continfo_so1_<suffix>: the processes of containers, as JSON. */
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
	struct sysinfo info;
	int ret;

	si_meminfo(&info);
	ret = so1_reserve(doc, SO1_PROCESS_MAX);
	if (ret)
		return ret;
	so1_put_literal(doc, "[");
	ret = so1_put_processes(doc, so1_kib(info.totalram, info.mem_unit), true);
	if (ret)
		return ret;
	so1_put_literal(doc, "]\n");
	return 0;
}

static int __init continfo_init(void)
{
	return so1_document_create("continfo_so1_", suffix, gid, &entry);
}

static void __exit continfo_exit(void)
{
	proc_remove(entry);
}

module_init(continfo_init);
module_exit(continfo_exit);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("SO1");
MODULE_DESCRIPTION("The processes of containers as JSON under /proc");
MODULE_VERSION(SO1_PROCINFO_VERSION);
