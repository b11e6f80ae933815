// SPDX-License-Identifier: GPL-2.0
/* /proc/so2_memory_limits: the list as JSON. */
#include <linux/moduleparam.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

#include "so1_document.h"
#include "so2_core.h"

static unsigned int gid;
module_param(gid, uint, 0444);
MODULE_PARM_DESC(gid, "group that may read /proc/so2_memory_limits");

static struct proc_dir_entry *so2_proc_entry;

/* Keys, eight numbers, a name of escapes only. */
#define SO2_OBJECT_MAX 512

struct so2_size {
	u64 now;  /* bytes of address space; 0 where the process has just let go of it */
	u64 peak; /* the most it ever was since the last exec */
};

static struct so2_size so2_size(struct task_struct *process)
{
	struct so2_size size = {};
	struct task_struct *thread;

	rcu_read_lock();
	/* The first thread may have exited and others still have the memory. */
	for_each_thread(process, thread) {
		task_lock(thread);
		if (thread->mm) {
			size.now = (u64)READ_ONCE(thread->mm->total_vm) << PAGE_SHIFT;
			size.peak = (u64)READ_ONCE(thread->mm->hiwater_vm) << PAGE_SHIFT;
		}
		task_unlock(thread);
		if (size.now)
			break;
	}
	rcu_read_unlock();
	/* The kernel notes a peak when it is about to pass. */
	size.peak = max(size.now, size.peak);
	return size;
}

/* RLIMIT_AS as it is now, whoever set it; task_lock() of the first thread guards it. */
static struct rlimit so2_effective(struct task_struct *process)
{
	struct rlimit limit;

	task_lock(process);
	limit = process->signal->rlim[RLIMIT_AS];
	task_unlock(process);
	return limit;
}

static void so2_put_object(struct so1_document *doc, struct task_struct *task,
			   const struct so2_record *record)
{
	struct rlimit effective = so2_effective(task);
	struct so2_size size = so2_size(task);
	char comm[TASK_COMM_LEN];

	get_task_comm(comm, task);
	so1_put_literal(doc, "{\"pid\":");
	so1_put_u64(doc, pid_nr(record->pid));
	so1_put_literal(doc, ",\"name\":\"");
	so1_put_string(doc, comm);
	so1_put_literal(doc, "\"");
	so1_put_field(doc, "limit", record->limit);
	so1_put_field(doc, "soft_limit", effective.rlim_cur);
	so1_put_field(doc, "hard_limit", effective.rlim_max);
	so1_put_field(doc, "size", size.now);
	so1_put_field(doc, "peak_size", size.peak);
	so1_put_field(doc, "set_at", record->set_at);
	so1_put_field(doc, "set_by", from_kuid(&init_user_ns, record->set_by));
	so1_put_literal(doc, "}");
}

static int so2_put_records(struct so1_document *doc, const struct so2_record *records, size_t count)
{
	bool first = true;
	size_t i;
	int ret;

	for (i = 0; i < count; i++) {
		struct task_struct *task = get_pid_task(records[i].pid, PIDTYPE_TGID);

		if (!task)
			continue;
		ret = so1_reserve(doc, SO2_OBJECT_MAX);
		if (!ret) {
			if (!first)
				so1_put_literal(doc, ",");
			first = false;
			so2_put_object(doc, task, &records[i]);
		}
		put_task_struct(task);
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}

static int so1_render(struct so1_document *doc)
{
	struct so2_record *records;
	ssize_t count = so2_snapshot(&init_pid_ns, SIZE_MAX, &records);
	int ret;

	if (count < 0)
		return count;
	ret = so1_reserve(doc, SO2_OBJECT_MAX);
	if (!ret) {
		so1_put_literal(doc, "[");
		ret = so2_put_records(doc, records, count);
	}
	so2_free_records(records, count);
	if (!ret)
		ret = so1_reserve(doc, SO2_OBJECT_MAX);
	if (!ret)
		so1_put_literal(doc, "]\n");
	return ret;
}

int so2_proc_init(void)
{
	return so1_document_create("so2_memory_", "limits", gid, &so2_proc_entry);
}

void so2_proc_exit(void)
{
	proc_remove(so2_proc_entry);
}
