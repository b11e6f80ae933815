/* SPDX-License-Identifier: GPL-2.0 */
/* What differs between the kernels that the modules are known to be right on. */
#ifndef SO1_COMPAT_H
#define SO1_COMPAT_H

#include <linux/cgroup.h>
#include <linux/kernfs.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0) || LINUX_VERSION_CODE >= KERNEL_VERSION(7, 4, 0)
#error "this release is tested on Linux 6.1 to 7.3 and on no other"
#endif

/*
 * Resident pages, as /proc/PID/status has them. Since 6.2 each CPU keeps a part
 * of a counter to itself; what get_mm_rss() leaves out grows with the machine.
 */
static inline unsigned long so1_rss(struct mm_struct *mm)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
	return percpu_counter_sum_positive(&mm->rss_stat[MM_FILEPAGES]) +
	       percpu_counter_sum_positive(&mm->rss_stat[MM_ANONPAGES]) +
	       percpu_counter_sum_positive(&mm->rss_stat[MM_SHMEMPAGES]);
#else
	return get_mm_rss(mm);
#endif
}

/* The name of a cgroup's directory. Needs RCU, which guards the text since 6.15. */
static inline const char *so1_cgroup_name(const struct cgroup *cgroup)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
	return rcu_dereference(cgroup->kn->name);
#else
	return cgroup->kn->name;
#endif
}

/*
 * The parameters of a probe of sched_process_exit, and whether it is the last
 * thread's. Until 6.16 that is only known from the number of those that live;
 * two threads that end together may then both find it at 0.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)
#define SO1_EXIT_PROBE(name)   name(void *data, struct task_struct *task, bool so1_last)
#define SO1_EXIT_IS_LAST(task) so1_last
#else
#define SO1_EXIT_PROBE(name)   name(void *data, struct task_struct *task)
#define SO1_EXIT_IS_LAST(task) (atomic_read(&(task)->signal->live) == 0)
#endif

#endif
