/* SPDX-License-Identifier: GPL-2.0 */
/* The list of limited processes; the doors and the /proc file stand on it. */
#ifndef SO2_CORE_H
#define SO2_CORE_H

#include <linux/pid_namespace.h>
#include <linux/types.h>
#include <linux/uidgid.h>

#include "so2_memlimit_uapi.h"

/* The four operations, with the results that so2_memlimit_uapi.h states. */
int so2_add(pid_t nr, u64 limit);
int so2_update(pid_t nr, u64 limit);
int so2_remove(pid_t nr);
int so2_get(struct memory_limitation __user *processes, size_t max_entries,
	    int __user *processes_returned);

/* An entry as it was at one moment. */
struct so2_record {
	struct pid *pid; /* with a reference */
	u64 limit;	 /* bytes */
	u64 set_at;	 /* ms since the epoch */
	kuid_t set_by;
};

/*
 * Copies at most @max entries that @ns can see, the oldest first. Returns how
 * many are in *@records, for so2_free_records(), or -ENOMEM, or -EINTR where
 * the caller is killed while it waits for others who list.
 */
ssize_t so2_snapshot(struct pid_namespace *ns, size_t max, struct so2_record **records);
void so2_free_records(struct so2_record *records, size_t count);

int so2_core_init(void);
/* Gives every process its own limits back. No operation may be under way. */
void so2_core_exit(void);

int so2_proc_init(void);
void so2_proc_exit(void);

#endif
