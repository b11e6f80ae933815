// SPDX-License-Identifier: GPL-2.0
/*
 * The list of limited processes.
 *
 * The limit is the process's RLIMIT_AS, soft and hard: the kernel itself then
 * refuses brk, mmap, mremap and stack growth, a child inherits it, exec keeps
 * it, and only CAP_SYS_RESOURCE can raise it. An unlimited process pays for
 * one look into the hash, without a lock, when it exits.
 *
 * An entry holds its process's struct pid. That one is never used again for
 * another process, whatever becomes of the number.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/hashtable.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/pid.h>
#include <linux/rculist.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/semaphore.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timekeeping.h>
#include <linux/tracepoint.h>
#include <linux/uaccess.h>
#include <trace/events/sched.h>

#include "so2_compat.h"
#include "so2_core.h"

#ifdef CONFIG_PREEMPT_RT
#error "a tracepoint must not take a sleeping lock: use a kernel without PREEMPT_RT"
#endif

/* Others may have to wait for one walk over so many. */
#define SO2_MOST 32768

static unsigned int so2_max_entries = 16384;

static int so2_set_max_entries(const char *text, const struct kernel_param *param)
{
	return param_set_uint_minmax(text, param, 0, SO2_MOST);
}

static const struct kernel_param_ops so2_max_entries_ops = {
	.set = so2_set_max_entries,
	.get = param_get_uint,
};
module_param_cb(max_entries, &so2_max_entries_ops, &so2_max_entries, 0644);
__MODULE_PARM_TYPE(max_entries, "uint");
MODULE_PARM_DESC(max_entries, "how many processes may be limited at once, at most 32768");

struct so2_entry {
	struct hlist_node hash;
	struct list_head order;
	struct pid *pid;
	u64 limit;  /* bytes, as it was given */
	u64 set_at; /* ms since the epoch */
	kuid_t set_by;
	struct rlimit own;     /* RLIMIT_AS as it was before */
	struct rlimit imposed; /* RLIMIT_AS as we set it */
	struct rcu_head rcu;
};

/*
 * Guards all of these; whether a process is listed may be asked under RCU too.
 * task_lock() nests inside. Never taken in interrupts.
 */
static DEFINE_SPINLOCK(so2_lock);
/*
 * Held by who walks the whole list: others meet one such walk under so2_lock,
 * however many want to. Who waits for it sleeps; a mutex would spin first.
 */
static struct semaphore so2_walk = __SEMAPHORE_INITIALIZER(so2_walk, 1);
static DEFINE_HASHTABLE(so2_hash, 12);
static LIST_HEAD(so2_order);
static unsigned int so2_count;

static struct so2_entry *so2_find(struct pid *pid)
{
	struct so2_entry *entry;

	hash_for_each_possible_rcu(so2_hash, entry, hash, (unsigned long)pid,
				   lockdep_is_held(&so2_lock))
		if (entry->pid == pid)
			return entry;
	return NULL;
}

static void so2_link(struct so2_entry *entry)
{
	hash_add_rcu(so2_hash, &entry->hash, (unsigned long)entry->pid);
	list_add_tail(&entry->order, &so2_order);
	WRITE_ONCE(so2_count, so2_count + 1);
}

static void so2_unlink(struct so2_entry *entry)
{
	hash_del_rcu(&entry->hash);
	list_del(&entry->order);
	WRITE_ONCE(so2_count, so2_count - 1);
}

static void so2_free(struct so2_entry *entry)
{
	put_pid(entry->pid); /* which may be NULL */
	kfree_rcu(entry, rcu);
}

/*
 * The first thread of the process @pid under its task_lock(), which is what
 * guards the limits of the whole group; NULL where the process is gone. An exec
 * by another thread makes that one the first, hence the second look. Under RCU.
 */
static struct task_struct *so2_lock_process(struct pid *pid)
{
	struct task_struct *task;

	while ((task = pid_task(pid, PIDTYPE_TGID))) {
		task_lock(task);
		if (READ_ONCE(task->group_leader) == task) {
			/* For sparse, which knows no function that may lock. */
			__release(&task->alloc_lock);
			break;
		}
		task_unlock(task);
	}
	return task;
}

static void so2_unlock_process(struct task_struct *task)
{
	__acquire(&task->alloc_lock);
	task_unlock(task);
}

/* The same of one that may be limited, or the error that the protocol has for it. */
static struct task_struct *so2_lock_target(struct pid *pid)
{
	struct task_struct *task = so2_lock_process(pid);
	int ret;

	if (!task)
		return ERR_PTR(-ESRCH);
	if (!atomic_read(&task->signal->live))
		ret = -ESRCH; /* its last thread is on the way out */
	else if (task->flags & PF_KTHREAD)
		ret = -EINVAL;
	else
		return task;
	so2_unlock_process(task);
	return ERR_PTR(ret);
}

/*
 * What the process's limits would be without ours: soft and hard each go back
 * to what they were, except where somebody changed them after us. So a process
 * that lowered its own limit keeps it low.
 */
static struct rlimit so2_without(const struct so2_entry *entry, struct rlimit now)
{
	if (now.rlim_max == entry->imposed.rlim_max)
		now.rlim_max = entry->own.rlim_max;
	if (now.rlim_cur == entry->imposed.rlim_cur)
		now.rlim_cur = entry->own.rlim_cur;
	now.rlim_cur = min(now.rlim_cur, now.rlim_max);
	return now;
}

static void so2_write(struct rlimit *to, struct rlimit value)
{
	/* The kernel reads the soft one without the lock. */
	WRITE_ONCE(to->rlim_cur, value.rlim_cur);
	WRITE_ONCE(to->rlim_max, value.rlim_max);
}

/* Never loosens: a process that has less of its own keeps it. */
static void so2_impose(struct so2_entry *entry, struct rlimit *as)
{
	entry->imposed.rlim_cur = min_t(u64, entry->own.rlim_cur, entry->limit);
	entry->imposed.rlim_max = min_t(u64, entry->own.rlim_max, entry->limit);
	so2_write(as, entry->imposed);
}

/* Gives the process what it would have without us. */
static void so2_undo(struct so2_entry *entry)
{
	struct task_struct *task;
	struct rlimit *as;

	rcu_read_lock();
	task = so2_lock_process(entry->pid);
	if (task) {
		as = &task->signal->rlim[RLIMIT_AS];
		so2_write(as, so2_without(entry, *as));
		so2_unlock_process(task);
	}
	rcu_read_unlock();
}

static void so2_stamp(struct so2_entry *entry, u64 limit)
{
	entry->limit = limit;
	entry->set_at = ktime_get_real_ns() / NSEC_PER_MSEC;
	entry->set_by = current_uid();
}

/*
 * Lists and limits the process @pid, whose first thread @task is locked.
 * @entry, which may be NULL for want of memory, is used where 0 is returned.
 */
static int so2_insert(struct pid *pid, struct task_struct *task, struct so2_entry *entry)
{
	struct rlimit *as = &task->signal->rlim[RLIMIT_AS];

	lockdep_assert_held(&so2_lock);
	if (so2_find(pid))
		return -SO2_ELISTED;
	if (!entry || so2_count >= READ_ONCE(so2_max_entries))
		return -ENOMEM;
	entry->pid = get_pid(pid);
	so2_link(entry);
	/*
	 * so2_exited() sees signal->live at 0, then looks for an entry. We have
	 * made the entry, now look at live: one of us finds the other.
	 */
	smp_mb();
	if (!atomic_read(&task->signal->live)) {
		so2_unlink(entry);
		return -ESRCH;
	}
	entry->own = *as;
	so2_impose(entry, as);
	return 0;
}

/* What add and update check before they look for the process. */
static int so2_check(pid_t nr, u64 limit)
{
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	return nr <= 0 || !limit ? -EINVAL : 0;
}

int so2_add(pid_t nr, u64 limit)
{
	struct task_struct *task;
	struct so2_entry *entry;
	struct pid *pid;
	int ret;

	ret = so2_check(nr, limit);
	if (ret)
		return ret;
	/* Where there is no memory for it, that is the last thing to be told. */
	entry = kzalloc(sizeof(*entry), GFP_KERNEL_ACCOUNT);
	if (entry)
		so2_stamp(entry, limit);
	rcu_read_lock();
	spin_lock(&so2_lock);
	pid = find_vpid(nr);
	task = so2_lock_target(pid);
	ret = PTR_ERR_OR_ZERO(task);
	if (!ret) {
		ret = so2_insert(pid, task, entry);
		so2_unlock_process(task);
	}
	spin_unlock(&so2_lock);
	rcu_read_unlock();
	if (ret && entry)
		so2_free(entry);
	return ret;
}

int so2_update(pid_t nr, u64 limit)
{
	struct task_struct *task;
	struct so2_entry *entry;
	struct rlimit *as;
	struct pid *pid;
	int ret;

	ret = so2_check(nr, limit);
	if (ret)
		return ret;
	rcu_read_lock();
	spin_lock(&so2_lock);
	pid = find_vpid(nr);
	task = so2_lock_target(pid);
	ret = PTR_ERR_OR_ZERO(task);
	if (!ret) {
		entry = so2_find(pid);
		if (entry) {
			as = &task->signal->rlim[RLIMIT_AS];
			so2_stamp(entry, limit);
			entry->own = so2_without(entry, *as);
			so2_impose(entry, as);
		} else {
			ret = -SO2_ENOTLISTED;
		}
		so2_unlock_process(task);
	}
	spin_unlock(&so2_lock);
	rcu_read_unlock();
	return ret;
}

int so2_remove(pid_t nr)
{
	struct so2_entry *entry;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (nr <= 0)
		return -EINVAL;
	rcu_read_lock();
	spin_lock(&so2_lock);
	entry = so2_find(find_vpid(nr));
	if (entry) {
		so2_undo(entry);
		so2_unlink(entry);
	}
	spin_unlock(&so2_lock);
	rcu_read_unlock();
	if (!entry)
		return -SO2_ENOTLISTED;
	so2_free(entry);
	return 0;
}

void so2_free_records(struct so2_record *records, size_t count)
{
	while (count)
		put_pid(records[--count].pid);
	kvfree(records);
}

/* Copies what is listed now to @records; -EAGAIN where there is not @room for it. */
static ssize_t so2_copy_entries(struct pid_namespace *ns, size_t max, struct so2_record *records,
				size_t room)
{
	struct so2_entry *entry;
	ssize_t count = 0;

	spin_lock(&so2_lock);
	if (so2_count > room && room < max)
		count = -EAGAIN;
	else
		list_for_each_entry(entry, &so2_order, order) {
			if (count == room)
				break;
			if (!pid_nr_ns(entry->pid, ns))
				continue;
			records[count++] = (struct so2_record){
				.pid = get_pid(entry->pid),
				.limit = entry->limit,
				.set_at = entry->set_at,
				.set_by = entry->set_by,
			};
		}
	spin_unlock(&so2_lock);
	return count;
}

ssize_t so2_snapshot(struct pid_namespace *ns, size_t max, struct so2_record **records)
{
	ssize_t count;
	size_t room;

	/* The memory is taken inside, or a thousand who wait would all have theirs. */
	count = down_killable(&so2_walk);
	if (count)
		return count;
	do {
		room = min_t(size_t, max, READ_ONCE(so2_count));
		*records = NULL;
		count = 0;
		if (!room)
			break;
		*records = kvmalloc_array(room, sizeof(**records), GFP_KERNEL_ACCOUNT);
		if (!*records) {
			count = -ENOMEM;
			break;
		}
		count = so2_copy_entries(ns, max, *records, room);
		if (count < 0)
			kvfree(*records);
		/* The list has grown past what we made room for. */
	} while (count == -EAGAIN);
	up(&so2_walk);
	return count;
}

#define SO2_CHUNK 32

static int so2_copy(struct memory_limitation __user *processes, struct pid_namespace *ns,
		    const struct so2_record *records, size_t count)
{
	struct memory_limitation chunk[SO2_CHUNK] = {};
	size_t done, some, i;

	for (done = 0; done < count; done += some) {
		some = min_t(size_t, count - done, SO2_CHUNK);
		for (i = 0; i < some; i++) {
			chunk[i].pid = pid_nr_ns(records[done + i].pid, ns);
			chunk[i].memory_limit = records[done + i].limit;
		}
		if (copy_to_user(processes + done, chunk, some * sizeof(*chunk)))
			return -EFAULT;
		cond_resched();
	}
	return 0;
}

int so2_get(struct memory_limitation __user *processes, size_t max_entries,
	    int __user *processes_returned)
{
	struct pid_namespace *ns = task_active_pid_ns(current);
	struct so2_record *records;
	ssize_t count;
	int ret;

	if (!processes || !processes_returned || !max_entries)
		return -EINVAL;
	count = so2_snapshot(ns, max_entries, &records);
	if (count < 0)
		return count;
	ret = so2_copy(processes, ns, records, count);
	so2_free_records(records, count);
	if (!ret && put_user((int)count, processes_returned))
		ret = -EFAULT;
	return ret;
}

/*
 * A thread exits; after the last one the process is not listed any more. The
 * tracepoint is the one place that a module hears of every exit from, and it
 * comes after signal->live is counted down.
 */
static void so2_exited(SO2_EXITED_ARGS)
{
	struct pid *pid = task_tgid(task);
	struct so2_entry *entry;
	bool listed;

	if (atomic_read(&task->signal->live))
		return;
	smp_mb(); /* pairs with the one in so2_insert() */
	/* Without the lock, which hardly any process that exits has a reason to take. */
	rcu_read_lock();
	listed = so2_find(pid);
	rcu_read_unlock();
	if (!listed)
		return;
	spin_lock(&so2_lock);
	entry = so2_find(pid);
	if (entry)
		so2_unlink(entry);
	spin_unlock(&so2_lock);
	if (entry)
		so2_free(entry);
}

static struct tracepoint *so2_exit_point;

static void so2_take_exit_point(struct tracepoint *point, void *unused)
{
	if (!strcmp(point->name, "sched_process_exit"))
		so2_exit_point = point;
}

int so2_core_init(void)
{
	/* A compiler cannot see that a tracepoint's callback has the wrong arguments. */
	check_trace_callback_type_sched_process_exit(so2_exited);
	for_each_kernel_tracepoint(so2_take_exit_point, NULL);
	if (!so2_exit_point)
		return -ENOENT;
	return tracepoint_probe_register(so2_exit_point, so2_exited, NULL);
}

void so2_core_exit(void)
{
	struct so2_entry *entry;

	do {
		spin_lock(&so2_lock);
		entry = list_first_entry_or_null(&so2_order, struct so2_entry, order);
		if (entry) {
			so2_undo(entry);
			so2_unlink(entry);
		}
		spin_unlock(&so2_lock);
		if (entry)
			so2_free(entry);
		cond_resched();
	} while (entry);
	tracepoint_probe_unregister(so2_exit_point, so2_exited, NULL);
	tracepoint_synchronize_unregister();
}
