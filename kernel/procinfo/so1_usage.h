/* SPDX-License-Identifier: GPL-2.0 */
/* What a process has used so far, in all its threads. */
#ifndef SO1_USAGE_H
#define SO1_USAGE_H

#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/seqlock.h>

/* Of all threads, those that have exited too. */
struct so1_usage {
	u64 cpu_ns;
	u64 major_faults;
	u64 read_bytes;
	u64 written_bytes;
};

static void so1_add_io(struct so1_usage *usage, const struct task_io_accounting *io)
{
#ifdef CONFIG_TASK_IO_ACCOUNTING
	usage->read_bytes += READ_ONCE(io->read_bytes);
	usage->written_bytes += READ_ONCE(io->write_bytes);
#endif
}

static struct so1_usage so1_sum(struct task_struct *task)
{
	struct signal_struct *sig = task->signal;
	struct task_struct *thread;
	struct so1_usage usage = {
		.cpu_ns = READ_ONCE(sig->sum_sched_runtime),
		.major_faults = READ_ONCE(sig->maj_flt),
	};

	so1_add_io(&usage, &sig->ioac);
	for_each_thread(task, thread) {
		usage.cpu_ns += READ_ONCE(thread->se.sum_exec_runtime);
		usage.major_faults += READ_ONCE(thread->maj_flt);
		so1_add_io(&usage, &thread->ioac);
	}
	return usage;
}

/*
 * A thread that exits adds what it used to the sums of its group and leaves the
 * list in one go under stats_lock. Whoever meets that sums again with the lock
 * held, so no sum ever steps back. The kernel's own figure of CPU time is not
 * for modules; its sum of user and system time is this run time, split.
 */
static struct so1_usage so1_usage(struct task_struct *task)
{
	seqlock_t *lock = &task->signal->stats_lock;
	struct so1_usage usage;
	unsigned long flags;
	unsigned int seq;

	rcu_read_lock();
	seq = read_seqbegin(lock);
	usage = so1_sum(task);
	if (read_seqretry(lock, seq)) {
		read_seqlock_excl_irqsave(lock, flags);
		usage = so1_sum(task);
		read_sequnlock_excl_irqrestore(lock, flags);
	}
	rcu_read_unlock();
	return usage;
}

#endif
