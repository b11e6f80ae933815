// SPDX-License-Identifier: GPL-2.0
/* What a limited process gets and does not get. Run with an argument it is the program of an exec. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>

#include "door.h"
#include "subject.h"
#include "tap.h"

#define ROOM_LEFT (64 * MIB) /* what the subjects may still take, where not said otherwise */

static bool refused(void *memory)
{
	return memory == MAP_FAILED && errno == ENOMEM;
}

/* Starts @body with @room more than it has now; its exit status. */
static int limited(int (*body)(void), unsigned long long room)
{
	struct subject subject = subject_start(body);
	int status;

	if (limit_add(subject.pid, size_of(subject.pid) + room)) {
		subject_dismiss(subject);
		return -1;
	}
	status = subject_finish(subject);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int takes_to_the_limit(void)
{
	char *memory[100];
	int count = 0, i;

	while (count < 100 && (memory[count] = take(MIB)) != MAP_FAILED)
		memset(memory[count++], 1, MIB);
	if (count < 60 || count > 64 || errno != ENOMEM)
		return 1;
	/* It lives on, and what it lets go it gets again. */
	munmap(memory[0], MIB);
	if ((memory[0] = take(MIB)) == MAP_FAILED || !refused(take(8 * MIB)))
		return 2;
	for (i = 1; i < count; i++)
		if (memory[i][MIB - 1] != 1)
			return 3;
	return 0;
}

static int takes_more(void)
{
	void *memory = take(128 * MIB);

	return memory == MAP_FAILED || munmap(memory, 128 * MIB);
}

static int brk_is_refused(void)
{
	void *before = sbrk(0);

	if (sbrk(128 * MIB) != (void *)-1 || errno != ENOMEM || sbrk(0) != before)
		return 1;
	return sbrk(MIB) == (void *)-1;
}

static int mremap_is_refused(void)
{
	char *memory = take(MIB);

	*memory = 1;
	if (!refused(mremap(memory, MIB, 128 * MIB, MREMAP_MAYMOVE)) || *memory != 1)
		return 1;
	memory = mremap(memory, MIB, 8 * MIB, MREMAP_MAYMOVE);
	return memory == MAP_FAILED || *memory != 1;
}

static int every_mapping_counts(void)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS, fd = open("/proc/self/exe", O_RDONLY);

	return !refused(mmap(NULL, 128 * MIB, PROT_NONE, flags, -1, 0)) ||
	       !refused(mmap(NULL, 128 * MIB, PROT_READ, flags | MAP_NORESERVE, -1, 0)) ||
	       !refused(mmap(NULL, 128 * MIB, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) ||
	       !refused(mmap(NULL, 128 * MIB, PROT_READ, MAP_PRIVATE, fd, 0));
}

static int malloc_is_null(void)
{
	char *small;
	void *volatile large = malloc(128 * MIB);

	if (large || errno != ENOMEM)
		return 1;
	small = malloc(MIB);
	if (!small)
		return 2;
	memset(small, 1, MIB);
	free(small);
	return 0;
}

/* About @left bytes of stack. */
static int __attribute__((noinline)) recurse(long left)
{
	volatile char frame[4096];

	frame[0] = frame[4095] = 1;
	return left > 0 ? recurse(left - 4096) + frame[0] : frame[4095];
}

static int deep(void)
{
	return recurse(6 * MIB) <= 0;
}

static sigjmp_buf back;

static void told(int number)
{
	siglongjmp(back, number);
}

/* Told by a signal on a stack of its own, it goes on. */
static int deep_and_handled(void)
{
	static char other[64 * 1024];
	stack_t stack = {.ss_sp = other, .ss_size = sizeof(other)};
	struct sigaction action = {.sa_handler = told, .sa_flags = SA_ONSTACK};

	sigaltstack(&stack, NULL);
	sigaction(SIGSEGV, &action, NULL);
	if (sigsetjmp(back, 1) == SIGSEGV)
		return recurse(64 * 1024) <= 0;
	recurse(6 * MIB);
	return 1;
}

static int nothing_more(void)
{
	static char zeroes[2 * MIB]; /* had, though not touched yet */
	char *stack = alloca(1);

	zeroes[MIB] = *stack = 1;
	if (!refused(take(4096)) || sbrk(4096) != (void *)-1)
		return 1;
	/* What it has it keeps. */
	memset(zeroes, 1, sizeof(zeroes));
	return zeroes[2 * MIB - 1] != 1;
}

static void *thread_takes(void *result)
{
	*(bool *)result = refused(take(128 * MIB)) && take(MIB) != MAP_FAILED;
	return NULL;
}

static int a_thread_takes(void)
{
	bool fine[4] = {};
	pthread_t threads[4];
	int i;

	for (i = 0; i < 4; i++)
		if (pthread_create(&threads[i], NULL, thread_takes, &fine[i]))
			return 1;
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	return !(fine[0] && fine[1] && fine[2] && fine[3]);
}

static int ready[2], proceed[2];

static void *takes_when_told(void *unused)
{
	bool fine = false;
	char word;

	usleep(50000); /* the first thread is gone */
	if (write(ready[1], "", 1) == 1 && read(proceed[0], &word, 1) == 1)
		thread_takes(&fine);
	exit(!fine);
	return unused;
}

/* The first thread exits, another has the memory and takes more. */
static int without_the_first_thread(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, takes_when_told, NULL);
	pthread_exit(NULL);
}

static void first_thread_gone(void)
{
	struct subject subject;
	int status;
	char word;

	if (pipe(ready) || pipe(proceed))
		exit(1);
	subject = subject_start(without_the_first_thread);
	if (write(subject.go, "", 1) != 1 || read(ready[0], &word, 1) != 1)
		exit(1);
	/* Its statm says 0 now. */
	ok(!limit_add(subject.pid, 100 * MIB), "a process whose first thread has exited is added");
	ok(listed_limit(subject.pid) == 100 * MIB, "and listed");
	ok(write(proceed[1], "", 1) == 1 && waitpid(subject.pid, &status, 0) == subject.pid &&
		   !status,
	   "and its other thread is refused");
	ok(!listed_limit(subject.pid), "and no longer listed when that exits");
	close(subject.go);
}

static int child_takes(void)
{
	pid_t child;
	int status;

	child = fork();
	if (!child) {
		pid_t grandchild = fork();

		if (!grandchild)
			_exit(!refused(take(128 * MIB)) || take(MIB) == MAP_FAILED ||
			      listed_limit(getpid()) || listed_limit(getppid()));
		waitpid(grandchild, &status, 0);
		_exit(status || !refused(take(128 * MIB)) || listed_limit(getpid()));
	}
	waitpid(child, &status, 0);
	return status || !listed_limit(getpid());
}

static int exec_takes(void)
{
	execl("/proc/self/exe", "enforcement", "takes", NULL);
	return 2;
}

static void *execs(void *unused)
{
	exec_takes();
	return unused;
}

static int thread_exec_takes(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, execs, NULL);
	pthread_join(thread, NULL);
	return 2;
}

static bool raise_limit(rlim_t soft, rlim_t hard)
{
	struct rlimit limit = {soft, hard};

	return !setrlimit(RLIMIT_AS, &limit);
}

static int cannot_undo_it(void)
{
	struct rlimit now;

	getrlimit(RLIMIT_AS, &now);
	if (now.rlim_max == RLIM_INFINITY || raise_limit(now.rlim_max + 1, now.rlim_max + 1) ||
	    errno != EPERM || raise_limit(RLIM_INFINITY, RLIM_INFINITY) || errno != EPERM ||
	    raise_limit(now.rlim_max + 1, now.rlim_max))
		return 1;
	/* Less is its own affair. */
	return !raise_limit(now.rlim_max - MIB, now.rlim_max) || !refused(take(128 * MIB));
}

static int nobody_cannot_undo_it(void)
{
	return setresuid(65534, 65534, 65534) ? 10 : cannot_undo_it();
}

static int namespace_root_cannot_undo_it(void)
{
	return unshare(CLONE_NEWUSER) ? 10 : cannot_undo_it();
}

static void children(void)
{
	pid_t child;
	char word;
	int status;

	ok(!limited(child_takes, ROOM_LEFT), "a child and its child are refused, and not listed");
	ok(!subject_finish(subject_start(takes_more)), "a process that is not limited takes more");

	/* One that was born under the limit keeps it when its parent is removed. */
	if (pipe(ready) || pipe(proceed))
		exit(1);
	limit_add(getpid(), size_of(getpid()) + ROOM_LEFT);
	child = fork();
	if (!child) {
		status = read(proceed[0], &word, 1) != 1 || !refused(take(128 * MIB));
		_exit(status);
	}
	limit_remove(getpid());
	ok(!takes_more(), "removed, a process takes more");
	ok(write(proceed[1], "", 1) == 1 && waitpid(child, &status, 0) == child && !status,
	   "its child, born under the limit, keeps it");
}

static void given_back(void)
{
	static const struct {
		rlim_t soft, hard;
	} own[] = {
		{RLIM_INFINITY, RLIM_INFINITY}, {1000 * MIB, RLIM_INFINITY},
		{1000 * MIB, 9000 * MIB},	{300 * MIB, 400 * MIB}, /* less than the limit */
		{300 * MIB, 9000 * MIB},	{1000 * MIB + 1, 9000 * MIB + 1},
	};
	struct subject subject;
	rlim_t soft, hard;
	size_t i;

	for (i = 0; i < sizeof(own) / sizeof(*own); i++) {
		struct rlimit limit = {own[i].soft, own[i].hard};

		subject = subject_start(subject_idle);
		prlimit(subject.pid, RLIMIT_AS, &limit, NULL);
		limit_add(subject.pid, 500 * MIB + 3);
		soft = own[i].soft < 500 * MIB + 3 ? own[i].soft : 500 * MIB + 3;
		hard = own[i].hard < 500 * MIB + 3 ? own[i].hard : 500 * MIB + 3;
		ok(has_limits(subject.pid, soft, hard), "case %zu: the smaller counts", i);
		limit_update(subject.pid, 20000 * MIB);
		soft = own[i].soft < 20000 * MIB ? own[i].soft : 20000 * MIB;
		hard = own[i].hard < 20000 * MIB ? own[i].hard : 20000 * MIB;
		ok(has_limits(subject.pid, soft, hard), "case %zu: an update loosens", i);
		limit_update(subject.pid, MIB);
		ok(has_limits(subject.pid, MIB, MIB), "case %zu: an update tightens", i);
		limit_remove(subject.pid);
		ok(has_limits(subject.pid, own[i].soft, own[i].hard),
		   "case %zu: remove gives back what it had", i);
		subject_dismiss(subject);
	}
}

/* What somebody changed after us is not ours to change back. */
static void changed_meanwhile(void)
{
	struct rlimit lower = {100 * MIB, 500 * MIB}, lowest = {100 * MIB, 200 * MIB};
	struct rlimit lifted = {RLIM_INFINITY, RLIM_INFINITY};
	struct subject subject = subject_start(subject_idle);

	limit_add(subject.pid, 500 * MIB);
	prlimit(subject.pid, RLIMIT_AS, &lower, NULL);
	limit_remove(subject.pid);
	ok(has_limits(subject.pid, 100 * MIB, RLIM_INFINITY), "a lowered soft limit stays");
	prlimit(subject.pid, RLIMIT_AS, &lifted, NULL);

	limit_add(subject.pid, 500 * MIB);
	prlimit(subject.pid, RLIMIT_AS, &lowest, NULL);
	limit_update(subject.pid, 600 * MIB);
	ok(has_limits(subject.pid, 100 * MIB, 200 * MIB), "a lowered hard limit is not raised");
	limit_remove(subject.pid);
	ok(has_limits(subject.pid, 100 * MIB, 200 * MIB), "and stays");
	prlimit(subject.pid, RLIMIT_AS, &lifted, NULL);

	limit_add(subject.pid, 500 * MIB);
	prlimit(subject.pid, RLIMIT_AS, &lifted, NULL);
	limit_update(subject.pid, 400 * MIB);
	ok(has_limits(subject.pid, 400 * MIB, 400 * MIB), "update limits again what root lifted");
	limit_remove(subject.pid);
	ok(has_limits(subject.pid, RLIM_INFINITY, RLIM_INFINITY), "and remove lifts it");
	subject_dismiss(subject);
}

static int exec_program(void)
{
	if (!refused(take(128 * MIB)) || take(MIB) == MAP_FAILED)
		return 1;
	if (!listed_limit(getpid()))
		return 2;
	if (limit_remove(getpid()))
		return 3;
	return takes_more();
}

int main(int argc, __attribute__((unused)) char **argv)
{
	door_open();
	if (argc > 1)
		return exec_program();

	ok(!limited(takes_to_the_limit, ROOM_LEFT), "mmap: ENOMEM at the limit, and it lives on");
	ok(!limited(brk_is_refused, ROOM_LEFT), "brk: refused beyond, granted below");
	ok(!limited(mremap_is_refused, ROOM_LEFT), "mremap: refused beyond, granted below");
	ok(!limited(every_mapping_counts, ROOM_LEFT), "mappings of every kind count");
	ok(!limited(malloc_is_null, ROOM_LEFT), "malloc returns NULL, then works on");
	ok(!limited(nothing_more, 0), "a limit of what it has: no more, and that is kept");
	ok(!subject_finish(subject_start(deep)), "6 MiB of stack without a limit");
	ok(!limited(deep, ROOM_LEFT), "and below it");
	ok(limited(deep, 2 * MIB) == 1000 + SIGSEGV, "stack beyond the limit: SIGSEGV");
	ok(!limited(deep_and_handled, 2 * MIB), "which it may handle and live on");
	ok(!limited(a_thread_takes, ROOM_LEFT), "every thread is refused");
	first_thread_gone();
	children();
	ok(!limited(exec_takes, ROOM_LEFT),
	   "exec keeps the limit and the entry; removed, it takes more");
	ok(!limited(thread_exec_takes, ROOM_LEFT), "exec by another thread too");
	ok(!limited(nobody_cannot_undo_it, ROOM_LEFT), "nobody cannot undo it");
	ok(!limited(namespace_root_cannot_undo_it, ROOM_LEFT), "nor can root of a user namespace");
	given_back();
	changed_meanwhile();
	ok(listed_count() == 0, "the list is empty in the end");
	return tap_end();
}
