/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * so2 memory limiter: the protocol.
 *
 * Four operations on one list of limited processes, through either of two
 * doors: system calls where the kernel has been patched, ioctls on
 * /proc/so2_memlimit where the module is loaded, which is opened through the
 * host's own /proc alone. The results are the same.
 *
 *   operation  system call  ioctl                      argument
 *   add        557          SO2_IOC_ADD    0x4010b900  struct memory_limitation *
 *   get        558          SO2_IOC_GET    0xc018b901  struct so2_get *
 *   update     559          SO2_IOC_UPDATE 0x4010b902  struct memory_limitation *
 *   remove     560          SO2_IOC_REMOVE 0x4004b903  __s32 *
 *
 *   long so2_add_memory_limit(pid_t pid, size_t memory_limit);
 *   long so2_get_memory_limits(struct memory_limitation *processes,
 *                              size_t max_entries, int *processes_returned);
 *   long so2_update_memory_limit(pid_t pid, size_t memory_limit);
 *   long so2_remove_memory_limit(pid_t pid);
 *
 * All return 0, or a negative error; syscall(2) and ioctl(2) turn it into -1
 * and errno, so -101 is seen as errno 101 and -102 as errno 102. The checks
 * are made in this order:
 *
 *   EPERM   add, update, remove: no CAP_SYS_ADMIN in the initial user
 *           namespace. Before all else: the ioctl's argument is not read.
 *   EFAULT  the ioctl's argument itself cannot be read
 *   EINVAL  pid <= 0; a limit of 0; add, update: a kernel thread (its
 *           existence has to be known first); get: a NULL pointer, or
 *           max_entries 0
 *   ESRCH   add, update: no such process, or it has exited already. The id of
 *           a thread that is not its process's first is no process's. remove
 *           does not ask: a process that is not there is not listed.
 *   101     add: already listed
 *   102     update, remove: not listed
 *   ENOMEM  add: the list is full (parameter max_entries), or no memory;
 *           get: no memory
 *   EFAULT  get: the buffer or the counter cannot be written
 *   ENOTTY  an ioctl that is not one of the four; the module is unloaded
 *
 * Limits are in bytes of address space, and are given back as they were given.
 * pids are of the caller's pid namespace; get leaves out a process that has no
 * pid there. get writes at most max_entries, the oldest first, and to
 * *processes_returned how many; the list is that of one moment.
 */
#ifndef SO2_MEMLIMIT_UAPI_H
#define SO2_MEMLIMIT_UAPI_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define SO2_NR_ADD    557
#define SO2_NR_GET    558
#define SO2_NR_UPDATE 559
#define SO2_NR_REMOVE 560

#define SO2_ELISTED    101 /* already listed */
#define SO2_ENOTLISTED 102 /* not listed */

/* 16 bytes: pid at 0, 4 bytes of padding (written as 0), memory_limit at 8. */
struct memory_limitation {
	__s32 pid;
	__u32 padding;
	__aligned_u64 memory_limit; /* bytes */
};

/* 24 bytes. The pointers are as wide as the widest machine's. */
struct so2_get {
	__aligned_u64 processes; /* struct memory_limitation[max_entries] */
	__aligned_u64 max_entries;
	__aligned_u64 processes_returned; /* pointer to __s32 */
};

#define SO2_DOOR_NAME  "so2_memlimit"
#define SO2_DOOR       "/proc/" SO2_DOOR_NAME
#define SO2_IOC_MAGIC  0xb9
#define SO2_IOC_ADD    _IOW(SO2_IOC_MAGIC, 0, struct memory_limitation)
#define SO2_IOC_GET    _IOWR(SO2_IOC_MAGIC, 1, struct so2_get)
#define SO2_IOC_UPDATE _IOW(SO2_IOC_MAGIC, 2, struct memory_limitation)
#define SO2_IOC_REMOVE _IOW(SO2_IOC_MAGIC, 3, __s32)

#endif
