/* SPDX-License-Identifier: GPL-2.0 */
/* Thousands of idle processes at the least cost: they share our memory and files. */
#ifndef CROWD_H
#define CROWD_H

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CROWD_STACK 4096

static int crowd_idle(void *unused)
{
	pause();
	return unused != NULL;
}

/* How many of @count there are, in @pids. */
static int crowd_start(pid_t *pids, int count)
{
	char *stacks = mmap(NULL, (size_t)count * CROWD_STACK, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static const char *const bounds[] = {"threads-max", "pid_max"};
	int i;

	for (i = 0; i < 2; i++) {
		char path[64];
		FILE *most;

		snprintf(path, sizeof(path), "/proc/sys/kernel/%s", bounds[i]);
		most = fopen(path, "w");
		if (most) {
			fprintf(most, "%d\n", 32768 + count);
			fclose(most);
		}
	}
	for (i = 0; i < count; i++) {
		pids[i] = clone(crowd_idle, stacks + (i + 1) * (size_t)CROWD_STACK,
				CLONE_VM | CLONE_FILES | CLONE_FS | SIGCHLD, NULL);
		if (pids[i] < 0)
			break;
	}
	return i;
}

static void crowd_end(const pid_t *pids, int count)
{
	int i;

	for (i = 0; i < count; i++)
		kill(pids[i], SIGKILL);
	for (i = 0; i < count; i++)
		waitpid(pids[i], NULL, 0);
}

#endif
