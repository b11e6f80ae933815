// SPDX-License-Identifier: GPL-2.0
/*
 * fuzz SECONDS [SEED]: arguments and pointers at random, as root and as nobody,
 * of the four operations and of reads of the files under /proc: never anything
 * but the errors that so2_memlimit_uapi.h states. In a pid namespace of its
 * own, so that it hits nobody else.
 */
#include <sched.h>
#include <sys/random.h>
#include <time.h>

#include "door.h"
#include "subject.h"
#include "tap.h"

#define NOBODY 65534
#define PAGE   4096

static unsigned long long state;
static char *pages; /* writable, readable, none, writable */

static unsigned long long any(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static uint64_t any_number(void)
{
	static const uint64_t edges[] = {
		0,
		1,
		2,
		31,
		32,
		33,
		4095,
		4096,
		INT_MAX,
		INT_MAX + 1ull,
		UINT_MAX,
		UINT_MAX + 1ull,
		INT64_MAX,
		INT64_MAX + 1ull,
		UINT64_MAX,
		UINT64_MAX / 16,
		UINT64_MAX / 16 + 1,
	};

	switch (any() % 4) {
	case 0:
		return edges[any() % (sizeof(edges) / sizeof(*edges))];
	case 1:
		return any() % 10;
	case 2:
		return any() % 1000000;
	}
	return any() >> any() % 64;
}

/* Nowhere that we need ourselves. */
static void *any_pointer(void)
{
	static const uint64_t bad[] = {
		0,
		1,
		8,
		PAGE - 1,
		0x7fffffffffff,
		0x800000000000,
		0xffff7fffffffffff,
		0xffff888000000000,
		0xffffffff81000000,
		UINT64_MAX - 15,
		UINT64_MAX,
	};

	switch (any() % 4) {
	case 0:
		return (void *)bad[any() % (sizeof(bad) / sizeof(*bad))];
	case 1:
		return pages + any() % 4 * PAGE;
	case 2:
		return pages + any() % (4 * PAGE);
	}
	return pages + (1 + any() % 4) * PAGE - any() % 64;
}

/* Those that are there; nobody has them from root. */
static int documents[3], documents_open;

static void open_documents(void)
{
	static const char *const paths[] = {
		"/proc/so2_memory_limits",
		"/proc/sysinfo_so1_202300539",
		"/proc/continfo_so1_202300539",
	};
	size_t i;

	for (i = 0; i < 3; i++) {
		documents[documents_open] = open(paths[i], O_RDONLY);
		documents_open += documents[documents_open] >= 0;
	}
}

/* 0 where something is read: it may land on what another call is given. */
static long any_read(void)
{
	int fd = documents[any() % documents_open];
	uint64_t at = any() % 2 ? any() % 20000 : any_number();
	ssize_t got;

	if (any() % 8 == 0)
		got = lseek(fd, at, any() % 3);
	else
		got = pread(fd, any_pointer(), any() % 2 ? any() % PAGE : any_number(), at);
	return got < 0 ? -errno : 0;
}

static pid_t any_pid(void)
{
	return any() % 2 ? (pid_t)(any() % 12) : (pid_t)any_number();
}

static long any_call(void)
{
	static const unsigned int commands[] = {SO2_IOC_ADD, SO2_IOC_GET, SO2_IOC_UPDATE,
						SO2_IOC_REMOVE};
	uint64_t words[3] = {(uintptr_t)any_pointer(), any_number(), (uintptr_t)any_pointer()};
	unsigned int command;

	switch (any() % (door_is_file() ? 7 : 5)) {
	case 0:
		return limit_add(any_pid(), any_number());
	case 1:
		return limit_update(any_pid(), any_number());
	case 2:
		return limit_remove(any_pid());
	case 3:
		return limit_get(any_pointer(), any_number(), any_pointer());
	case 4:
		return any_read();
	case 5:
		/* A struct of any words somewhere, then any command with any pointer. */
		memcpy(pages + any() % (PAGE - sizeof(words)), words, sizeof(words));
		command = commands[any() % 4];
		break;
	default:
		command = any() % 2 ? any_number() : commands[any() % 4] ^ 1u << any() % 32;
		/* Those of every file are not ours to answer for. */
		if ((command >> 8 & 255) != SO2_IOC_MAGIC)
			command = (command & 0xffff00ff) | SO2_IOC_MAGIC << 8;
	}
	return door_result(ioctl(door, command, any_pointer()));
}

static bool documented(long result)
{
	switch (result) {
	case 0:
	case -EPERM:
	case -EINVAL:
	case -ESRCH:
	case -SO2_ELISTED:
	case -SO2_ENOTLISTED:
	case -ENOMEM:
	case -EFAULT:
		return true;
	case -ENOTTY:
		return door_is_file();
	}
	return false;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static void fuzz(const char *who, double length)
{
	double end = seconds() + length;
	long calls, succeeded = 0, wrong = 0, result;

	for (calls = 0; calls % 256 || seconds() < end; calls++) {
		result = any_call();
		succeeded += !result;
		if (!documented(result)) {
			printf("# %ld\n", result);
			wrong++;
		}
	}
	ok(!wrong && succeeded, "%s: %ld calls, %ld succeeded, %ld undocumented errors", who, calls,
	   succeeded, wrong);
}

static int both(double length)
{
	struct subject subjects[8];
	int i, pid, left = 0;

	pages = take(4 * PAGE);
	mprotect(pages + PAGE, PAGE, PROT_READ);
	mprotect(pages + 2 * PAGE, PAGE, PROT_NONE);
	for (i = 0; i < 8; i++)
		subjects[i] = subject_start(subject_idle);
	fuzz("root", length);
	/* Any of them is removed, or is not there. */
	for (pid = 1; pid < 12; pid++)
		left += limit_remove(pid) != 0 && limit_remove(pid) != -SO2_ENOTLISTED;
	ok(!left && listed_count() == 0, "the list is empty in the end");
	for (i = 0; i < 8; i++)
		left += !has_limits(subjects[i].pid, RLIM_INFINITY, RLIM_INFINITY);
	ok(!left, "and everybody has what they had");
	limit_add(subjects[0].pid, MIB);
	for (i = 0; i < documents_open; i++)
		left += pread(documents[i], pages, PAGE, 0) <= 0;
	ok(!left, "the files can be read as ever");
	if (setresuid(NOBODY, NOBODY, NOBODY))
		return 1;
	fuzz("nobody", length / 2);
	ok(listed_count() == 1 && listed_limit(subjects[0].pid) == MIB, "the list is as it was");
	return tap_end();
}

int main(int argc, char **argv)
{
	int status = -1;
	pid_t child;

	door_open();
	open_documents();
	if (!documents_open || argc < 2 || unshare(CLONE_NEWPID))
		return 2;
	if (argc > 2)
		state = strtoull(argv[2], NULL, 0);
	else if (getrandom(&state, sizeof(state), 0) != sizeof(state))
		return 2;
	state |= 1;
	printf("# seed %llu\n", state);
	fflush(stdout);
	child = fork();
	if (!child)
		_exit(both(atof(argv[1])));
	waitpid(child, &status, 0);
	return status != 0;
}
