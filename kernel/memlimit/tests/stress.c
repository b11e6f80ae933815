// SPDX-License-Identifier: GPL-2.0
/*
 * stress SECONDS: all at once, for so long and until each thing has happened. Threads add, update, remove and list; their
 * processes allocate, fork, exec, change their own limits and exit; others read
 * the listing; where the door is the module, it is unloaded and loaded again.
 * In the end the list is empty and the survivors have what they had.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "document.h"
#include "door.h"
#include "module.h"
#include "subject.h"
#include "tap.h"

#define MODULE	  "so2_memlimit"
#define LISTING	  "/proc/so2_memory_limits"
#define SURVIVORS 12
#define PARENTS	  4
#define CHILDREN  5 /* of each parent, at once */
#define TARGETS	  (SURVIVORS + PARENTS * CHILDREN)
#define CALLERS	  6
#define READERS	  2

static struct shared {
	_Atomic pid_t targets[TARGETS];
	atomic_bool stop;
	atomic_long lives;
} *shared;

static bool through_module;
static atomic_long calls[4], wrong, documents, broken, loads, not_unloaded, not_restored;

static struct subject survivors[SURVIVORS];

static rlim_t own_soft(int i)
{
	return (3000 + i) * MIB;
}

static rlim_t own_hard(int i)
{
	return i % 2 ? RLIM_INFINITY : (9000 + i) * MIB;
}

static int survivors_not_restored(void)
{
	int i, count = 0;

	for (i = 0; i < SURVIVORS; i++)
		count += !has_limits(survivors[i].pid, own_soft(i), own_hard(i));
	return count;
}

/* The lives of the targets. Whatever is refused to them, they go on. */

static void allocate(void)
{
	int i;

	for (i = 0; i < 10; i++) {
		char *memory = take(MIB);

		if (memory != MAP_FAILED) {
			*memory = 1;
			munmap(memory, MIB);
		}
		if (sbrk(65536) != (void *)-1)
			sbrk(-65536);
	}
}

static void execute(void)
{
	execl("/proc/self/exe", "stress", "life", NULL);
	_exit(1);
}

static void *thread_executes(void *unused)
{
	allocate();
	execute();
	return unused;
}

static void *thread_lives_on(void *unused)
{
	allocate();
	_exit(0);
	return unused;
}

static void live(int kind)
{
	struct rlimit limit;
	pthread_t thread;
	int i;

	allocate();
	switch (kind) {
	case 0:
		for (i = 0; i < 3; i++)
			if (!fork()) {
				allocate();
				_exit(0);
			}
		while (wait(NULL) > 0)
			;
		break;
	case 1:
		execute();
		break;
	case 2:
		if (!pthread_create(&thread, NULL, thread_executes, NULL))
			pthread_join(thread, NULL);
		break;
	case 3:
		if (!pthread_create(&thread, NULL, thread_lives_on, NULL))
			syscall(SYS_exit, 0);
		break;
	case 4:
		for (i = 0; i < 10; i++) {
			getrlimit(RLIMIT_AS, &limit);
			limit.rlim_cur = i % 2 ? limit.rlim_max : limit.rlim_max / 2;
			setrlimit(RLIMIT_AS, &limit);
			allocate();
		}
		break;
	default:
		usleep(2000 * kind);
	}
	_exit(0);
}

static void parent(_Atomic pid_t *slots, unsigned int seed)
{
	int i;

	while (!shared->stop) {
		usleep(2000);
		for (i = 0; i < CHILDREN; i++) {
			int kind = rand_r(&seed) % 10;
			pid_t child;

			if (slots[i]) {
				if (rand_r(&seed) % 4 == 0)
					kill(slots[i], SIGKILL);
				else if (!waitpid(slots[i], NULL, WNOHANG))
					continue;
				waitpid(slots[i], NULL, 0);
			}
			child = fork();
			if (!child)
				live(kind);
			slots[i] = child > 0 ? child : 0;
			shared->lives++;
		}
	}
	for (i = 0; i < CHILDREN; i++)
		if (slots[i]) {
			kill(slots[i], SIGKILL);
			waitpid(slots[i], NULL, 0);
		}
	_exit(0);
}

/* Under the callers the module goes and comes back; a door that they opened before leads nowhere then. */
static long call(int fd, int which, pid_t pid, uint64_t limit)
{
	struct memory_limitation list[TARGETS], process = {.pid = pid, .memory_limit = limit};
	__s32 nr = pid, count;
	struct so2_get get = {(uintptr_t)list, TARGETS, (uintptr_t)&count};

	switch (which) {
	case 0:
		return fd < 0 ? limit_add(pid, limit)
			      : door_result(ioctl(fd, SO2_IOC_ADD, &process));
	case 1:
		return fd < 0 ? limit_update(pid, limit)
			      : door_result(ioctl(fd, SO2_IOC_UPDATE, &process));
	case 2:
		return fd < 0 ? limit_remove(pid) : door_result(ioctl(fd, SO2_IOC_REMOVE, &nr));
	}
	return fd < 0 ? limit_get(list, TARGETS, &count)
		      : door_result(ioctl(fd, SO2_IOC_GET, &get));
}

static bool expected(long result, int which)
{
	return !result || (which < 2 && result == -ESRCH) ||
	       (which == 0 && result == -SO2_ELISTED) ||
	       ((which == 1 || which == 2) && result == -SO2_ENOTLISTED);
}

static void *caller(void *number)
{
	unsigned int seed = (uintptr_t)number;
	int fd = -1, i;

	setpriority(PRIO_PROCESS, gettid(), -4);
	while (!shared->stop) {
		if (through_module) {
			fd = open(SO2_DOOR, O_RDWR);
			if (fd < 0)
				continue;
		}
		for (i = 0; i < 200; i++) {
			pid_t pid = shared->targets[rand_r(&seed) % TARGETS];
			int which = rand_r(&seed) % 4;
			long result;

			if (pid <= 0)
				continue;
			result = call(fd, which, pid, MIB << rand_r(&seed) % 14);
			if (through_module && result == -ENOTTY)
				break;
			if (expected(result, which)) {
				calls[which]++;
			} else {
				printf("# %d: %ld\n", which, result);
				wrong++;
			}
		}
		if (fd >= 0)
			close(fd);
		usleep(500);
	}
	return NULL;
}

static void *reader(void *unused)
{
	setpriority(PRIO_PROCESS, gettid(), -4);
	while (!shared->stop) {
		int fd = open(LISTING, O_RDONLY);
		char *text;

		if (fd < 0)
			continue;
		/* NULL: the module went between the open and the read. */
		text = document_read_fd(fd, 4096);
		if (text) {
			documents++;
			/* Cut off in the middle is the one thing else that may be. */
			broken += text[strlen(text) - 1] == '\n' && !json_valid(text);
		}
		free(text);
		close(fd);
	}
	return unused;
}

static void *loader(void *unused)
{
	/* Or it hardly gets a turn. */
	setpriority(PRIO_PROCESS, gettid(), -20);
	while (!shared->stop) {
		usleep(50000);
		not_unloaded += !!unload(MODULE);
		not_restored += survivors_not_restored();
		loads += !load(MODULE, "");
	}
	return unused;
}

/* A slow machine gets more time for it. */
static bool all_happened(void)
{
	return calls[0] && calls[1] && calls[2] && calls[3] && documents &&
	       (loads || !through_module);
}

static void run(int seconds)
{
	pthread_t threads[CALLERS + READERS + 1];
	pid_t parents[PARENTS];
	int i, count = 0;

	for (i = 0; i < PARENTS; i++) {
		parents[i] = fork();
		if (!parents[i])
			parent(&shared->targets[SURVIVORS + i * CHILDREN], i);
	}
	for (i = 0; i < CALLERS; i++)
		pthread_create(&threads[count++], NULL, caller, (void *)(uintptr_t)(i + 1));
	for (i = 0; i < READERS; i++)
		pthread_create(&threads[count++], NULL, reader, NULL);
	if (through_module)
		pthread_create(&threads[count++], NULL, loader, NULL);
	for (i = 0; i < seconds || (i < 10 * seconds && !all_happened()); i++)
		sleep(1);
	shared->stop = true;
	while (count)
		pthread_join(threads[--count], NULL);
	for (i = 0; i < PARENTS; i++)
		waitpid(parents[i], NULL, 0);
}

static int takes(void)
{
	void *memory = take(1024 * MIB);

	return memory == MAP_FAILED;
}

int main(int argc, char **argv)
{
	int i, failed = 0;

	if (argc < 2)
		return 2;
	if (!strcmp(argv[1], "life"))
		live(9);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	through_module = syscall(SO2_NR_ADD, 0, 0) && errno == ENOSYS;
	if (through_module && load(MODULE, ""))
		return 2;
	for (i = 0; i < SURVIVORS; i++) {
		struct rlimit own = {own_soft(i), own_hard(i)};

		survivors[i] = subject_start(takes);
		prlimit(survivors[i].pid, RLIMIT_AS, &own, NULL);
		shared->targets[i] = survivors[i].pid;
	}
	run(atoi(argv[1]));
	ok(calls[0] && calls[1] && calls[2] && calls[3] && !wrong,
	   "%ld add, %ld update, %ld remove, %ld get, %ld unexpected errors, on %ld processes",
	   calls[0], calls[1], calls[2], calls[3], wrong, shared->lives);
	ok(documents && !broken, "%ld documents read meanwhile, %ld broken", documents, broken);
	door_open();
	for (i = 0; i < SURVIVORS; i++)
		failed += !expected(limit_remove(survivors[i].pid), 2);
	ok(!failed && listed_count() == 0, "the list is empty in the end");
	ok(!survivors_not_restored(), "the survivors have what they had");
	if (through_module) {
		ok(loads && !not_unloaded, "the module goes each of %ld times, whoever calls it",
		   loads);
		ok(!not_restored, "and they had it each time that it was gone");
		for (i = 0; i < SURVIVORS; i++)
			limit_add(survivors[i].pid, MIB);
		close(door);
		ok(!unload(MODULE) && !survivors_not_restored(),
		   "and have it after the last unload");
	}
	for (i = 0; i < SURVIVORS; i++)
		failed += !!subject_finish(survivors[i]);
	ok(!failed, "and take as much as before");
	return tap_end();
}
