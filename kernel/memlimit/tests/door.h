/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The four operations through whichever door this kernel has. Each returns 0
 * or a negative error, as in the kernel.
 */
#ifndef DOOR_H
#define DOOR_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "so2_memlimit_uapi.h"

#define MIB	    (1024ull * 1024)
#define LISTING_MAX 32768

/* -1: the system calls. */
static int door = -1;

static long door_result(long value)
{
	return value < 0 ? -errno : value;
}

__attribute__((unused)) static bool door_is_file(void)
{
	return door >= 0;
}

/* Never returns without a door. */
__attribute__((unused)) static void door_open(void)
{
	if (syscall(SO2_NR_ADD, 0, 0) < 0 && errno != ENOSYS)
		return;
	door = open(SO2_DOOR, O_RDWR | O_CLOEXEC);
	if (door < 0) {
		printf("not ok - neither the system calls nor %s\n", SO2_DOOR);
		exit(1);
	}
}

__attribute__((unused)) static long limit_add(pid_t pid, uint64_t limit)
{
	struct memory_limitation process = {.pid = pid, .memory_limit = limit};

	if (door < 0)
		return door_result(syscall(SO2_NR_ADD, pid, limit));
	return door_result(ioctl(door, SO2_IOC_ADD, &process));
}

__attribute__((unused)) static long limit_update(pid_t pid, uint64_t limit)
{
	struct memory_limitation process = {.pid = pid, .memory_limit = limit};

	if (door < 0)
		return door_result(syscall(SO2_NR_UPDATE, pid, limit));
	return door_result(ioctl(door, SO2_IOC_UPDATE, &process));
}

__attribute__((unused)) static long limit_remove(pid_t pid)
{
	__s32 nr = pid;

	if (door < 0)
		return door_result(syscall(SO2_NR_REMOVE, pid));
	return door_result(ioctl(door, SO2_IOC_REMOVE, &nr));
}

__attribute__((unused)) static long limit_get(void *processes, uint64_t max_entries, void *returned)
{
	struct so2_get get = {
		.processes = (uintptr_t)processes,
		.max_entries = max_entries,
		.processes_returned = (uintptr_t)returned,
	};

	if (door < 0)
		return door_result(syscall(SO2_NR_GET, processes, max_entries, returned));
	return door_result(ioctl(door, SO2_IOC_GET, &get));
}

/* How many are listed; -1 on an error. */
__attribute__((unused)) static int listed_count(void)
{
	static struct memory_limitation all[LISTING_MAX];
	int count = -1;

	return limit_get(all, LISTING_MAX, &count) ? -1 : count;
}

/* The limit that the list has for @pid; 0 where it is not listed. */
__attribute__((unused)) static uint64_t listed_limit(pid_t pid)
{
	static struct memory_limitation all[LISTING_MAX];
	int count = 0, i;

	if (limit_get(all, LISTING_MAX, &count))
		return 0;
	for (i = 0; i < count; i++)
		if (all[i].pid == pid)
			return all[i].memory_limit;
	return 0;
}

#endif
