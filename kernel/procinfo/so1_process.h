/* SPDX-License-Identifier: GPL-2.0 */
/* One process as a JSON object, and the walk over all of them. */
#ifndef SO1_PROCESS_H
#define SO1_PROCESS_H

#include <linux/cred.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/sched.h>
#include <linux/sched/cputime.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/timekeeping.h>

#include "so1_compat.h"
#include "so1_container.h"
#include "so1_document.h"
#include "so1_usage.h"

/* Keys, nineteen numbers, a name of escapes only, a container's id. */
#define SO1_PROCESS_MAX 1024

/*
 * Takes a reference on the first thread group whose id is @tgid or above, and
 * sets @tgid to that id. Only this step holds RCU, never the walk.
 */
static struct task_struct *so1_next_process(pid_t *tgid)
{
	struct task_struct *task = NULL;
	struct pid *pid;

	rcu_read_lock();
	while ((pid = find_ge_pid(*tgid, &init_pid_ns))) {
		*tgid = pid_nr(pid);
		task = pid_task(pid, PIDTYPE_TGID);
		if (task) {
			get_task_struct(task);
			break;
		}
		++*tgid;
	}
	rcu_read_unlock();
	return task;
}

/* The kernel's number without the flags that only the scheduler reads. */
static unsigned int so1_state(struct task_struct *task)
{
	unsigned int index = task_state_index(task);

	if (index == ilog2(TASK_REPORT_IDLE) + 1)
		return TASK_IDLE;
	return index ? BIT(index - 1) : TASK_RUNNING;
}

struct so1_memory {
	unsigned long rss;  /* KiB */
	unsigned long vsz;  /* KiB */
	unsigned long swap; /* KiB */
};

/*
 * task_lock() keeps task->mm from going away, so no reference is needed whose
 * dropping might tear the address space down in the reader's context.
 */
static bool so1_task_memory(struct task_struct *task, struct so1_memory *memory)
{
	struct mm_struct *mm;

	task_lock(task);
	mm = task->flags & PF_KTHREAD ? NULL : task->mm;
	if (mm) {
		memory->rss = so1_rss(mm) << (PAGE_SHIFT - 10);
		memory->vsz = READ_ONCE(mm->total_vm) << (PAGE_SHIFT - 10);
		memory->swap = get_mm_counter(mm, MM_SWAPENTS) << (PAGE_SHIFT - 10);
	}
	task_unlock(task);
	return mm;
}

static struct so1_memory so1_memory(struct task_struct *task)
{
	struct so1_memory memory = {};
	struct task_struct *thread;

	if (so1_task_memory(task, &memory) || task->flags & PF_KTHREAD)
		return memory;
	/* The first thread has exited; the others still have the memory. */
	rcu_read_lock();
	for_each_thread(task, thread)
		if (so1_task_memory(thread, &memory))
			break;
	rcu_read_unlock();
	return memory;
}

/*
 * Writes the object of one process. @total_ram is in KiB. Room for
 * SO1_PROCESS_MAX must be there.
 */
static void so1_put_process(struct so1_document *doc, struct task_struct *task, pid_t tgid,
			    unsigned long total_ram, const struct so1_place *place, bool with_state)
{
	struct so1_memory memory = so1_memory(task);
	struct so1_usage usage = so1_usage(task);
	u64 now = ktime_get_boottime_ns();
	u64 start = task->start_boottime;
	char comm[TASK_COMM_LEN];

	get_task_comm(comm, task);
	so1_put_literal(doc, "{\"pid\":");
	so1_put_u64(doc, tgid);
	/* 0 once the process is reaped: its parent may then be gone as well. */
	so1_put_field(doc, "ppid", task_ppid_nr_ns(task, &init_pid_ns));
	so1_put_field(doc, "uid", from_kuid(&init_user_ns, task_uid(task)));
	so1_put_literal(doc, ",\"name\":\"");
	so1_put_string(doc, comm);
	so1_put_literal(doc, "\"");
	if (with_state)
		so1_put_field(doc, "state", so1_state(task));
	so1_put_field(doc, "threads", get_nr_threads(task));
	so1_put_field(doc, "rss", memory.rss);
	so1_put_field(doc, "vsz", memory.vsz);
	so1_put_field(doc, "swap", memory.swap);
	so1_put_field(doc, "mem_percent", total_ram ? memory.rss * 100 / total_ram : 0);
	so1_put_field(doc, "cpu",
		      now > start ? div64_u64(usage.cpu_ns, div64_u64(now - start, 100) ?: 1) : 0);
	so1_put_field(doc, "start_ns", start);
	so1_put_field(doc, "cpu_ns", usage.cpu_ns);
	so1_put_field(doc, "major_faults", usage.major_faults);
	if (IS_ENABLED(CONFIG_TASK_IO_ACCOUNTING)) {
		so1_put_field(doc, "read_bytes", usage.read_bytes);
		so1_put_field(doc, "written_bytes", usage.written_bytes);
	}
	so1_put_signed_field(doc, "nice", task_nice(task));
	so1_put_signed_field(doc, "oom_score_adj", READ_ONCE(task->signal->oom_score_adj));
	so1_put_field(doc, "cgroup", place->cgroup);
	if (place->contained) {
		so1_put_literal(doc, ",\"container_id\":\"");
		so1_put(doc, place->id, sizeof(place->id));
		so1_put_literal(doc, "\"");
	}
	so1_put_literal(doc, "}");
}

static unsigned long so1_kib(unsigned long pages, unsigned int unit)
{
	return (u64)pages * unit >> 10;
}

/* Between two processes: let others run, and a killed reader go. */
static int so1_breathe(void)
{
	cond_resched();
	return fatal_signal_pending(current) ? -EINTR : 0;
}

/* Writes the objects of all processes, or of those in containers, without state. */
static int so1_put_processes(struct so1_document *doc, unsigned long total_ram, bool contained)
{
	struct task_struct *task;
	struct so1_place place;
	bool first = true;
	pid_t tgid = 1;
	int ret;

	for (; (task = so1_next_process(&tgid)); tgid++) {
		/* Always room for one more process and the end of the document. */
		ret = so1_reserve(doc, SO1_PROCESS_MAX);
		if (!ret) {
			so1_find_place(task, &place);
			if (place.contained || !contained) {
				if (!first)
					so1_put_literal(doc, ",");
				first = false;
				so1_put_process(doc, task, tgid, total_ram, &place, !contained);
			}
		}
		put_task_struct(task);
		ret = ret ?: so1_breathe();
		if (ret)
			return ret;
	}
	return 0;
}

#endif
