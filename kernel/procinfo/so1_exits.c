// SPDX-License-Identifier: GPL-2.0
/*
 * /proc/exits_so1_<suffix>: the processes that ended, a JSON object a line.
 *
 * As with /dev/kmsg, every open file is at a place of its own and a read waits
 * for what comes. The place is the number of the next exit, and lseek() goes to
 * any. A reader that is too slow goes on with the oldest exit that is still
 * kept; the numbers tell what it missed.
 *
 * Every process that ends passes here. It fills in a record of its own, and
 * then holds a lock for as long as copying that takes. Readers take no lock
 * that it needs: they copy a record and see by its number whether it stayed
 * the same meanwhile.
 */
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/oom.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/sched/clock.h>
#include <linux/sched/prio.h>
#include <linux/sched/signal.h>
#include <linux/timekeeping.h>
#include <linux/tracepoint.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "so1_compat.h"
#include "so1_container.h"
#include "so1_json.h"
#include "so1_proc.h"
#include "so1_usage.h"
#include "so1_version.h"

/* Keys, seventeen numbers, a name of escapes only, a container's id. */
#define SO1_EXIT_MAX	1024
#define SO1_RECORDS_MIN SZ_1K
#define SO1_RECORDS_MAX SZ_1M
/* Readers that wait are woken this long after an exit, and not for each. */
#define SO1_WAKE_AFTER (HZ / 10)

static char *suffix = "202300539";
module_param(suffix, charp, 0444);
MODULE_PARM_DESC(suffix, "end of the file's name: letters, digits, - and _, at most 32");

static unsigned int gid;
module_param(gid, uint, 0444);
MODULE_PARM_DESC(gid, "group that may read the file");

static unsigned int records = SZ_16K;
module_param(records, uint, 0444);
MODULE_PARM_DESC(records, "how many exits are kept: 1024 to 1048576, rounded up to a power of two");

struct so1_exit {
	u64 start; /* boottime, ns */
	u64 end;
	u64 cgroup;
	unsigned long peak_rss; /* KiB */
	struct so1_usage usage;
	pid_t pid;
	pid_t ppid;
	uid_t uid;
	int threads;
	int status; /* as wait() has it */
	bool oom;
	bool contained;
	char id[SO1_CONTAINER_ID];
	char comm[TASK_COMM_LEN];
};

struct so1_slot {
	u64 after; /* the number of the exit that is in it, plus one; 0 while it is written */
	struct so1_exit exit;
};

static struct so1_slot *so1_ring; /* of so1_mask + 1 */
static u64 so1_mask;
static u64 so1_next; /* number of the next exit */
/* Serializes those that write the three above, and so1_told. */
static DEFINE_RAW_SPINLOCK(so1_lock);

/*
 * Where the last thread cannot be told for certain, whom each exit was of: the
 * second of two threads that end together finds its process here.
 */
#define SO1_TOLD SZ_4K
static struct {
	pid_t pid;
	u64 start;
} so1_told[SO1_TOLD];

static DECLARE_WAIT_QUEUE_HEAD(so1_readers);
static struct proc_dir_entry *entry;

static void so1_wake(struct work_struct *work)
{
	wake_up_interruptible_poll(&so1_readers, EPOLLIN | EPOLLRDNORM);
}

static DECLARE_DELAYED_WORK(so1_wake_later, so1_wake);

/*
 * What @task, which runs here, has used since the scheduler added up last: all
 * of a process that ends within a tick. Since it came onto this CPU the clock
 * went on by what it ran in this turn, and part of that is counted.
 */
static u64 so1_uncounted_ns(const struct task_struct *task)
{
#ifdef CONFIG_SCHED_INFO
	u64 arrived = task->sched_info.last_arrival;
	u64 counted = task->se.sum_exec_runtime - task->se.prev_sum_exec_runtime;
	s64 left = sched_clock_cpu(raw_smp_processor_id()) - arrived - counted;

	/* Other classes do not note what was counted before this turn. */
	if (arrived && task->prio >= MAX_RT_PRIO && left > 0)
		return min_t(u64, left, TICK_NSEC);
#endif
	return 0;
}

static int so1_status(const struct task_struct *leader)
{
	const struct signal_struct *sig = leader->signal;

	return sig->flags & SIGNAL_GROUP_EXIT ? sig->group_exit_code : leader->exit_code;
}

static void so1_fill(struct so1_exit *exit, struct task_struct *task)
{
	struct so1_place place;
	struct task_struct *leader;

	so1_find_place(task, &place);
	exit->cgroup = place.cgroup;
	exit->contained = place.contained;
	if (place.contained)
		memcpy(exit->id, place.id, sizeof(exit->id));
	rcu_read_lock();
	leader = task->group_leader;
	exit->pid = task_tgid_nr(task);
	exit->ppid = task_ppid_nr_ns(task, &init_pid_ns);
	exit->uid = from_kuid(&init_user_ns, task_uid(leader));
	exit->start = leader->start_boottime;
	exit->status = so1_status(leader);
	strscpy(exit->comm, leader->comm, sizeof(exit->comm));
	rcu_read_unlock();
	exit->threads = get_nr_threads(task);
	exit->oom = tsk_is_oom_victim(task);
	exit->peak_rss = READ_ONCE(task->signal->maxrss) << (PAGE_SHIFT - 10);
	exit->usage = so1_usage(task);
	exit->usage.cpu_ns += so1_uncounted_ns(task);
	exit->end = ktime_get_boot_fast_ns();
}

/* Whether the exit of this process is there already. Needs so1_lock. */
static bool so1_is_told(const struct so1_exit *exit)
{
	typeof(*so1_told) *told = &so1_told[exit->pid % SO1_TOLD];

	if (told->pid == exit->pid && told->start == exit->start)
		return true;
	told->pid = exit->pid;
	told->start = exit->start;
	return false;
}

static void so1_keep(const struct so1_exit *exit)
{
	struct so1_slot *slot;
	unsigned long flags;

	raw_spin_lock_irqsave(&so1_lock, flags);
	if (!so1_is_told(exit)) {
		slot = &so1_ring[so1_next & so1_mask];
		WRITE_ONCE(slot->after, 0);
		smp_wmb(); /* who copies the old one meanwhile finds 0 */
		slot->exit = *exit;
		smp_store_release(&slot->after, so1_next + 1);
		smp_store_release(&so1_next, so1_next + 1);
	}
	raw_spin_unlock_irqrestore(&so1_lock, flags);
}

static void SO1_EXIT_PROBE(so1_exited)
{
	struct so1_exit exit;

	if (!SO1_EXIT_IS_LAST(task))
		return;
	so1_fill(&exit, task);
	so1_keep(&exit);
	if (wq_has_sleeper(&so1_readers))
		schedule_delayed_work(&so1_wake_later, SO1_WAKE_AFTER);
}

/* Copies exit number @at, or the oldest one after it; false where there is none yet. */
static bool so1_copy(u64 *at, struct so1_exit *exit)
{
	struct so1_slot *slot;
	u64 next;

	for (;; cpu_relax()) {
		next = smp_load_acquire(&so1_next);
		if (*at >= next)
			return false;
		if (next - *at > so1_mask + 1)
			*at = next - so1_mask - 1;
		slot = &so1_ring[*at & so1_mask];
		if (smp_load_acquire(&slot->after) != *at + 1)
			continue; /* a newer one comes in its place */
		data_race(*exit = slot->exit);
		smp_rmb(); /* the copy comes before the second look */
		if (READ_ONCE(slot->after) == *at + 1)
			return true;
	}
}

static void so1_put_exit(struct so1_document *doc, u64 number, const struct so1_exit *exit)
{
	so1_put_literal(doc, "{\"seq\":");
	so1_put_u64(doc, number);
	so1_put_field(doc, "pid", exit->pid);
	so1_put_field(doc, "ppid", exit->ppid);
	so1_put_field(doc, "uid", exit->uid);
	so1_put_literal(doc, ",\"name\":\"");
	so1_put_string(doc, exit->comm);
	so1_put_literal(doc, "\"");
	so1_put_field(doc, "start_ns", exit->start);
	so1_put_field(doc, "end_ns", exit->end);
	so1_put_field(doc, "code", exit->status >> 8 & 0xff);
	so1_put_field(doc, "signal", exit->status & 0x7f);
	so1_put_literal(doc, ",\"oom_killed\":");
	if (exit->oom)
		so1_put_literal(doc, "true");
	else
		so1_put_literal(doc, "false");
	so1_put_field(doc, "threads", exit->threads);
	so1_put_field(doc, "peak_rss", exit->peak_rss);
	so1_put_field(doc, "cpu_ns", exit->usage.cpu_ns);
	so1_put_field(doc, "major_faults", exit->usage.major_faults);
	if (IS_ENABLED(CONFIG_TASK_IO_ACCOUNTING)) {
		so1_put_field(doc, "read_bytes", exit->usage.read_bytes);
		so1_put_field(doc, "written_bytes", exit->usage.written_bytes);
	}
	so1_put_field(doc, "cgroup", exit->cgroup);
	if (exit->contained) {
		so1_put_literal(doc, ",\"container_id\":\"");
		so1_put(doc, exit->id, sizeof(exit->id));
		so1_put_literal(doc, "\"");
	}
	so1_put_literal(doc, "}\n");
}

/* An open file keeps the module: poll() may wait here long after it was called. */
static int so1_exits_open(struct inode *inode, struct file *file)
{
	struct so1_document *line;
	int ret;

	if (!so1_proc_is_hosts(inode))
		return -EACCES;
	if (!try_module_get(THIS_MODULE))
		return -ENOENT;
	line = kzalloc(sizeof(*line), GFP_KERNEL_ACCOUNT);
	ret = line ? so1_reserve(line, SO1_EXIT_MAX) : -ENOMEM;
	if (ret) {
		kfree(line);
		module_put(THIS_MODULE);
		return ret;
	}
	mutex_init(&line->lock);
	file->private_data = line;
	return 0;
}

static int so1_exits_release(struct inode *inode, struct file *file)
{
	struct so1_document *line = file->private_data;

	so1_forget(line);
	kfree(line);
	/* Unloading waits for this function to return. */
	module_put(THIS_MODULE);
	return 0;
}

/* Whole lines, as many as there are and fit. */
static ssize_t so1_exits_lines(struct so1_document *line, char __user *to, size_t count, loff_t *at)
{
	struct so1_exit exit;
	size_t done = 0;
	u64 number = *at;

	while (so1_copy(&number, &exit)) {
		line->length = 0;
		so1_put_exit(line, number, &exit);
		if (line->length > count - done)
			return done ?: -EINVAL;
		if (copy_to_user(to + done, line->text, line->length))
			return done ?: -EFAULT;
		done += line->length;
		*at = ++number;
		cond_resched();
		if (signal_pending(current))
			break;
	}
	return done;
}

static ssize_t so1_exits_read(struct file *file, char __user *to, size_t count, loff_t *at)
{
	struct so1_document *line = file->private_data;
	ssize_t ret;

	if (!count)
		return 0;
	do {
		if (file->f_flags & O_NONBLOCK) {
			if (*at >= smp_load_acquire(&so1_next))
				return -EAGAIN;
		} else {
			ret = wait_event_interruptible(so1_readers,
						       *at < smp_load_acquire(&so1_next));
			if (ret)
				return ret;
		}
		/* Two threads may read one file, each from its own place. */
		ret = mutex_lock_interruptible(&line->lock);
		if (ret)
			return ret;
		ret = so1_exits_lines(line, to, count, at);
		mutex_unlock(&line->lock);
	} while (!ret);
	return ret;
}

static __poll_t so1_exits_poll(struct file *file, poll_table *table)
{
	poll_wait(file, &so1_readers, table);
	return file->f_pos < smp_load_acquire(&so1_next) ? EPOLLIN | EPOLLRDNORM : 0;
}

/* To an exit by its number; the end is what comes next. */
static loff_t so1_exits_lseek(struct file *file, loff_t offset, int whence)
{
	loff_t end = smp_load_acquire(&so1_next);

	return generic_file_llseek_size(file, offset, whence, end, end);
}

static const struct proc_ops so1_exits_ops = {
	.proc_open = so1_exits_open,
	.proc_read = so1_exits_read,
	.proc_poll = so1_exits_poll,
	.proc_lseek = so1_exits_lseek,
	.proc_release = so1_exits_release,
};

static struct tracepoint *so1_tracepoint;

/* The tracepoint itself is not exported. */
static void so1_look_at(struct tracepoint *point, void *data)
{
	if (!strcmp(point->name, "sched_process_exit"))
		so1_tracepoint = point;
}

static int __init so1_exits_init(void)
{
	int ret;

	if (records < SO1_RECORDS_MIN || records > SO1_RECORDS_MAX)
		return -EINVAL;
	for_each_kernel_tracepoint(so1_look_at, NULL);
	if (!so1_tracepoint)
		return -EOPNOTSUPP;
	so1_mask = roundup_pow_of_two(records) - 1;
	so1_ring = vzalloc(array_size(so1_mask + 1, sizeof(*so1_ring)));
	if (!so1_ring)
		return -ENOMEM;
	ret = so1_proc_create("exits_so1_", suffix, gid, &so1_exits_ops, &entry);
	if (ret)
		goto no_file;
	ret = tracepoint_probe_register(so1_tracepoint, so1_exited, NULL);
	if (ret)
		goto no_probe;
	return 0;

no_probe:
	proc_remove(entry);
no_file:
	vfree(so1_ring);
	return ret;
}

static void __exit so1_exits_exit(void)
{
	tracepoint_probe_unregister(so1_tracepoint, so1_exited, NULL);
	tracepoint_synchronize_unregister();
	cancel_delayed_work_sync(&so1_wake_later);
	proc_remove(entry);
	vfree(so1_ring);
}

module_init(so1_exits_init);
module_exit(so1_exits_exit);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("SO1");
MODULE_DESCRIPTION("The processes that ended as JSON under /proc");
MODULE_VERSION(SO1_PROCINFO_VERSION);
