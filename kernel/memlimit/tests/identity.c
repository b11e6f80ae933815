// SPDX-License-Identifier: GPL-2.0
/* Whose entry it is: exits, the same pid again, pid namespaces. */
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>

#include "door.h"
#include "subject.h"
#include "tap.h"

static pid_t clone_raw(struct clone_args *args)
{
	args->exit_signal = SIGCHLD;
	return syscall(SYS_clone3, args, sizeof(*args));
}

static void exits(void)
{
	struct subject subject = subject_start(subject_idle);
	siginfo_t info;

	limit_add(subject.pid, 5000 * MIB);
	kill(subject.pid, SIGKILL);
	waitid(P_PID, subject.pid, &info, WEXITED | WNOWAIT);
	ok(listed_count() == 0, "a process that exits is not listed, even before it is reaped");
	ok(limit_update(subject.pid, MIB) == -ESRCH, "nor can it be updated");
	ok(limit_remove(subject.pid) == -SO2_ENOTLISTED, "nor removed");
	waitpid(subject.pid, NULL, 0);
	close(subject.go);

	subject = subject_start(subject_idle);
	limit_add(subject.pid, 5000 * MIB);
	ok(!subject_finish(subject) && listed_count() == 0, "nor one that exits by itself");
}

static void *nothing(void *unused)
{
	return unused;
}

static int threads_come_and_go(void)
{
	pthread_t thread;
	int i;

	for (i = 0; i < 20; i++)
		if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL))
			return 1;
	return listed_limit(getpid()) != 5000 * MIB;
}

static void threads_exit(void)
{
	struct subject subject = subject_start(threads_come_and_go);

	limit_add(subject.pid, 5000 * MIB);
	ok(!subject_finish(subject), "a process whose threads exit stays listed");
	ok(listed_count() == 0, "until the last does");
}

/* The same number for another process, at once and many times. */
static void pid_again(void)
{
	int round, reused = 0, limited = 0, listed = 0, wrong = 0;
	pid_t pid = 0;

	for (round = 0; round < 50; round++) {
		struct clone_args args = {
			.set_tid = pid ? (uintptr_t)&pid : 0,
			.set_tid_size = pid ? 1 : 0,
		};
		pid_t child = clone_raw(&args);

		if (!child) {
			pause();
			_exit(0);
		}
		if (child < 0)
			break;
		reused += child == pid;
		pid = child;
		limited += !has_limits(pid, RLIM_INFINITY, RLIM_INFINITY);
		listed += listed_limit(pid) || listed_count();
		wrong += limit_update(pid, MIB) != -SO2_ENOTLISTED;
		wrong += limit_remove(pid) != -SO2_ENOTLISTED;
		wrong += limit_add(pid, (1000 + round) * MIB) != 0;
		wrong += listed_limit(pid) != (1000 + round) * MIB;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	ok(reused == 49, "one pid for 50 processes, one after the other");
	ok(!limited, "none of them is born limited");
	ok(!listed, "none is born listed");
	ok(!wrong, "each is listed for itself");
}

static int ready[2], proceed[2];

static void tell(int fd)
{
	if (write(fd, "", 1) != 1)
		exit(1);
}

static void hear(int fd)
{
	char word;

	if (read(fd, &word, 1) != 1)
		exit(1);
}

static pid_t outside;

static int first_of_its_namespace(void)
{
	struct memory_limitation list[10];
	pid_t child;
	int count;

	if (getpid() != 1 || limit_get(list, 10, &count) || count != 1 || list[0].pid != 1 ||
	    list[0].memory_limit != 5000 * MIB)
		return 1;
	/* The first of the list is not visible here; that takes no room. */
	if (limit_get(list, 1, &count) || count != 1 || list[0].pid != 1)
		return 2;
	if (limit_add(outside, MIB) != -ESRCH || limit_update(outside, MIB) != -ESRCH ||
	    limit_remove(outside) != -SO2_ENOTLISTED)
		return 3;
	if (limit_add(1, MIB) != -SO2_ELISTED || limit_update(1, 6000 * MIB))
		return 4;
	child = fork();
	if (!child) {
		pause();
		_exit(0);
	}
	if (child != 2 || limit_add(child, 3000 * MIB))
		return 5;
	if (limit_get(list, 10, &count) || count != 2 || list[1].pid != 2)
		return 6;
	tell(ready[1]);
	hear(proceed[0]);
	if (limit_get(list, 10, &count) || count != 1)
		return 7;
	return limit_remove(1) ? 8 : 0;
}

static void namespaces(void)
{
	struct clone_args args = {.flags = CLONE_NEWPID};
	struct memory_limitation list[10];
	struct subject other = subject_start(subject_idle);
	int count, status;
	pid_t child;

	if (pipe(ready) || pipe(proceed))
		exit(1);
	outside = other.pid;
	limit_add(outside, 4000 * MIB);
	child = clone_raw(&args);
	if (!child) {
		hear(proceed[0]);
		_exit(first_of_its_namespace());
	}
	ok(!limit_add(child, 5000 * MIB),
	   "the first process of a pid namespace is added from outside");
	tell(proceed[1]);
	close(ready[1]);
	hear(ready[0]);
	ok(!limit_get(list, 10, &count) && count == 3 && list[0].pid == outside &&
		   list[1].pid == child && list[1].memory_limit == 6000 * MIB &&
		   list[2].memory_limit == 3000 * MIB && list[2].pid != 2,
	   "what it does inside has the outside's pids here");
	ok(has_limits(child, 6000 * MIB, 6000 * MIB) &&
		   has_limits(list[2].pid, 3000 * MIB, 3000 * MIB),
	   "and those processes are the limited ones");
	ok(!limit_remove(list[2].pid), "one that was added inside is removed from outside");
	tell(proceed[1]);
	waitpid(child, &status, 0);
	ok(!status, "inside it sees its own, by its own pids, and no others (%d)",
	   WEXITSTATUS(status));
	ok(listed_count() == 1 && listed_limit(outside) == 4000 * MIB, "the rest is as it was");
	limit_remove(outside);
	subject_dismiss(other);
}

int main(void)
{
	door_open();
	exits();
	threads_exit();
	pid_again();
	namespaces();
	ok(listed_count() == 0, "the list is empty in the end");
	return tap_end();
}
