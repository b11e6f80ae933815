/* SPDX-License-Identifier: GPL-2.0 */
/* What differs between the kernels that the limiter is known to be right on. */
#ifndef SO2_COMPAT_H
#define SO2_COMPAT_H

#include <linux/sched.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0) || LINUX_VERSION_CODE >= KERNEL_VERSION(7, 4, 0)
#error "this release is tested on Linux 6.1 to 7.3 and on no other"
#endif

/* What sched_process_exit hands over; trace/events/sched.h checks it where it is used. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
#define SO2_EXITED_ARGS void *unused, struct task_struct *task, bool last
#else
#define SO2_EXITED_ARGS void *unused, struct task_struct *task
#endif

#endif
