// SPDX-License-Identifier: GPL-2.0
/* What an exit costs with so1_exits.ko, and without: both take turns. */
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "module.h"
#include "tap.h"

#define ROUNDS 41
#define EXITS  10000

static int at_once(void *unused)
{
	return unused != NULL;
}

/* For the life of one process that shares our memory; an instruction is a nanosecond (run.sh). */
static double one_life(void)
{
	static char stack[4096];
	struct timespec began, ended;
	int i;

	clock_gettime(CLOCK_MONOTONIC, &began);
	for (i = 0; i < EXITS; i++) {
		pid_t pid = clone(at_once, stack + sizeof(stack),
				  CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_FS | SIGCHLD, NULL);

		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			return 0;
	}
	clock_gettime(CLOCK_MONOTONIC, &ended);
	return ((ended.tv_sec - began.tv_sec) * 1e9 + (ended.tv_nsec - began.tv_nsec)) / EXITS;
}

static int by_size(const void *one, const void *other)
{
	double a = *(const double *)one, b = *(const double *)other;

	return (a > b) - (a < b);
}

static void tell(const char *what, double *values)
{
	qsort(values, ROUNDS, sizeof(*values), by_size);
	printf("# %s: %.3f (%.3f to %.3f)\n", what, values[ROUNDS / 2], values[ROUNDS / 4],
	       values[ROUNDS * 3 / 4]);
}

int main(void)
{
	double with[ROUNDS], without[ROUNDS], ratio[ROUNDS], more[ROUNDS];
	bool fine = true;
	int i;

	one_life();
	for (i = 0; i < ROUNDS; i++) {
		without[i] = one_life();
		fine = !load("so1_exits", "") && fine;
		with[i] = one_life();
		fine = !unload("so1_exits") && without[i] && with[i] && fine;
		ratio[i] = with[i] / without[i];
		more[i] = with[i] - without[i];
	}
	ok(fine, "%d rounds of %d exits each way", ROUNDS, EXITS);
	tell("instructions for clone, exit and wait, without", without);
	tell("with", with);
	tell("ratio", ratio);
	tell("instructions more", more);
	return tap_end();
}
