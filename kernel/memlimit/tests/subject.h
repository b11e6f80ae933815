/* SPDX-License-Identifier: GPL-2.0 */
/* A child process to be limited: it waits for a word, does its part, says how it went by its exit. */
#ifndef SUBJECT_H
#define SUBJECT_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct subject {
	pid_t pid;
	int go;
};

/* @body's value is the exit status: 0 for success. */
__attribute__((unused)) static struct subject subject_start(int (*body)(void))
{
	int go[2];
	struct subject subject;
	char word;

	if (pipe(go))
		exit(1);
	subject.pid = fork();
	if (!subject.pid) {
		close(go[1]);
		if (read(go[0], &word, 1) != 1)
			_exit(100); /* dismissed */
		_exit(body());
	}
	close(go[0]);
	subject.go = go[1];
	return subject;
}

/* The wait status of one that has its word already. */
__attribute__((unused)) static int subject_wait(struct subject subject)
{
	int status = -1;

	close(subject.go);
	waitpid(subject.pid, &status, 0);
	return status;
}

/* The same of one that waits for its word. */
__attribute__((unused)) static int subject_finish(struct subject subject)
{
	if (write(subject.go, "", 1) != 1)
		return -1;
	return subject_wait(subject);
}

__attribute__((unused)) static void subject_dismiss(struct subject subject)
{
	close(subject.go);
	kill(subject.pid, SIGKILL);
	waitpid(subject.pid, NULL, 0);
}

__attribute__((unused)) static int subject_idle(void)
{
	return 0;
}

/* Bytes of address space. */
__attribute__((unused)) static unsigned long long size_of(pid_t pid)
{
	unsigned long long pages = 0;
	char path[32];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%llu", &pages) != 1)
		pages = 0;
	if (file)
		fclose(file);
	return pages * sysconf(_SC_PAGESIZE);
}

__attribute__((unused)) static void *take(size_t size)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* Whether RLIMIT_AS of @pid is exactly this. */
__attribute__((unused)) static bool has_limits(pid_t pid, rlim_t soft, rlim_t hard)
{
	struct rlimit now;

	return !prlimit(pid, RLIMIT_AS, NULL, &now) && now.rlim_cur == soft && now.rlim_max == hard;
}

#endif
