// SPDX-License-Identifier: GPL-2.0
/* Every error, in the order that so2_memlimit_uapi.h promises. */
#include <pthread.h>

#include "door.h"
#include "subject.h"
#include "tap.h"

#define NOBODY_HAS 4000000 /* far beyond pid_max in the guest */
#define KTHREADD   2

static void arguments(pid_t pid)
{
	static const pid_t bad[] = {0, -1, INT_MIN};
	size_t i;

	for (i = 0; i < 3; i++) {
		ok(limit_add(bad[i], MIB) == -EINVAL, "add pid %d: EINVAL", bad[i]);
		ok(limit_update(bad[i], MIB) == -EINVAL, "update pid %d: EINVAL", bad[i]);
		ok(limit_remove(bad[i]) == -EINVAL, "remove pid %d: EINVAL", bad[i]);
	}
	ok(limit_add(pid, 0) == -EINVAL, "add limit 0: EINVAL");
	ok(limit_update(pid, 0) == -EINVAL, "update limit 0: EINVAL");
	ok(limit_add(NOBODY_HAS, 0) == -EINVAL, "add: EINVAL comes before ESRCH");
	ok(limit_update(NOBODY_HAS, 0) == -EINVAL, "update: EINVAL comes before ESRCH");
	ok(limit_add(NOBODY_HAS, MIB) == -ESRCH, "add no such process: ESRCH");
	ok(limit_add(INT_MAX, MIB) == -ESRCH, "add the largest pid: ESRCH");
	ok(limit_update(NOBODY_HAS, MIB) == -ESRCH, "update no such process: ESRCH");
	ok(limit_remove(NOBODY_HAS) == -SO2_ENOTLISTED, "remove no such process: not listed");
	ok(limit_add(KTHREADD, MIB) == -EINVAL, "add a kernel thread: EINVAL");
	ok(limit_update(KTHREADD, MIB) == -EINVAL, "update a kernel thread: EINVAL");
	ok(limit_remove(KTHREADD) == -SO2_ENOTLISTED, "remove a kernel thread: not listed");
	ok(listed_count() == 0, "nothing of this is listed");
}

static void listed_or_not(pid_t pid)
{
	ok(limit_update(pid, MIB) == -SO2_ENOTLISTED, "update before add: not listed");
	ok(limit_remove(pid) == -SO2_ENOTLISTED, "remove before add: not listed");
	ok(limit_add(pid, 1000 * MIB) == 0, "add");
	ok(limit_add(pid, 2000 * MIB) == -SO2_ELISTED, "add again: listed");
	ok(limit_add(pid, 0) == -EINVAL, "add again with limit 0: EINVAL comes first");
	ok(listed_limit(pid) == 1000 * MIB, "and the first limit stands");
	ok(limit_update(pid, 2000 * MIB) == 0 && listed_limit(pid) == 2000 * MIB, "update");
	ok(limit_remove(pid) == 0 && !listed_limit(pid), "remove");
	ok(limit_remove(pid) == -SO2_ENOTLISTED, "remove again: not listed");
	ok(limit_update(pid, MIB) == -SO2_ENOTLISTED, "update after remove: not listed");
	ok(limit_add(pid, 1000 * MIB) == 0 && limit_remove(pid) == 0, "add and remove once more");
}

/* Exited, its parent has not asked yet. */
static void zombie(void)
{
	pid_t pid = fork();
	siginfo_t info;

	if (!pid)
		_exit(0);
	waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
	ok(limit_add(pid, MIB) == -ESRCH, "add a zombie: ESRCH");
	ok(limit_update(pid, MIB) == -ESRCH, "update a zombie: ESRCH");
	ok(limit_remove(pid) == -SO2_ENOTLISTED, "remove a zombie: not listed");
	waitpid(pid, NULL, 0);
	ok(limit_add(pid, MIB) == -ESRCH, "add it when it is reaped: ESRCH");
}

static pid_t tid;
static pthread_barrier_t met;

static void *thread(void *unused)
{
	tid = gettid();
	pthread_barrier_wait(&met);
	pthread_barrier_wait(&met);
	return unused;
}

static void thread_id(void)
{
	pthread_t other;

	pthread_barrier_init(&met, NULL, 2);
	pthread_create(&other, NULL, thread, NULL);
	pthread_barrier_wait(&met);
	ok(limit_add(tid, MIB) == -ESRCH, "add the id of a second thread: ESRCH");
	pthread_barrier_wait(&met);
	pthread_join(other, NULL);
}

static void values(pid_t pid)
{
	static const uint64_t odd[] = {1, 4095, 4097, 123456789012345677, INT64_MAX, UINT64_MAX};
	size_t i;

	for (i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		ok(limit_add(pid, odd[i]) == 0 && listed_limit(pid) == odd[i],
		   "%llu bytes come back as given", (unsigned long long)odd[i]);
		ok(limit_update(pid, odd[i] ^ 2) == 0 && listed_limit(pid) == (odd[i] ^ 2),
		   "and so by update");
		ok(limit_remove(pid) == 0, "and are removed");
	}
}

static void get_arguments(pid_t first, pid_t second)
{
	struct memory_limitation two[2] = {};
	long page = sysconf(_SC_PAGESIZE);
	char *pages = take(2 * page);
	struct memory_limitation *last = (void *)(pages + page - sizeof(*last));
	void *volatile nowhere = (void *)8;
	int count = -1;

	ok(limit_get(two, 2, &count) == 0 && count == 0, "get an empty list: 0 returned");
	limit_add(first, 5000 * MIB);
	limit_add(second, 6000 * MIB);
	ok(limit_get(NULL, 2, &count) == -EINVAL, "get into NULL: EINVAL");
	ok(limit_get(two, 2, NULL) == -EINVAL, "get without a counter: EINVAL");
	ok(limit_get(two, 0, &count) == -EINVAL, "get 0 entries: EINVAL");
	ok(limit_get(nowhere, 2, &count) == -EFAULT, "get into a bad address: EFAULT");
	ok(limit_get(two, 2, nowhere) == -EFAULT, "get with a bad counter: EFAULT");
	ok(limit_get(nowhere, 0, &count) == -EINVAL, "get: EINVAL comes before EFAULT");
	ok(limit_get((void *)~0xfffull, 2, &count) == -EFAULT,
	   "get into the kernel's memory: EFAULT");
	ok(count == 0, "none of these wrote the counter");

	memset(two, 0xa5, sizeof(two));
	ok(limit_get(two, 1, &count) == 0 && count == 1 && two[0].pid == first &&
		   two[0].memory_limit == 5000 * MIB && two[0].padding == 0,
	   "a small buffer gets the first");
	ok(two[1].pid == (int)0xa5a5a5a5 && two[1].memory_limit == 0xa5a5a5a5a5a5a5a5,
	   "and nothing beyond it is written");
	ok(limit_get(two, 1000, &count) == 0 && count == 2 && two[1].pid == second &&
		   two[1].memory_limit == 6000 * MIB,
	   "a large max_entries writes what there is");

	mprotect(pages + page, page, PROT_NONE);
	ok(limit_get(last, 1, &count) == 0 && count == 1 && last->pid == first,
	   "a buffer that ends with its page");
	ok(limit_get(last, 2, &count) == -EFAULT, "one that goes beyond: EFAULT");
	ok(limit_get((char *)last - 1, 1, &count) == 0 && count == 1, "one that is not aligned");
	mprotect(pages, page, PROT_READ);
	ok(limit_get(pages, 2, &count) == -EFAULT, "a buffer that is only readable: EFAULT");
	ok(limit_get(two, 2, pages) == -EFAULT, "a counter that is only readable: EFAULT");
	munmap(pages, 2 * page);
	limit_remove(first);
	limit_remove(second);
}

static void huge_max_entries(pid_t pid)
{
	static const uint64_t huge[] = {
		INT_MAX,
		UINT_MAX,
		1ull << 60,
		UINT64_MAX / sizeof(struct memory_limitation),
		UINT64_MAX / sizeof(struct memory_limitation) + 1,
		INT64_MAX,
		UINT64_MAX,
	};
	struct memory_limitation one;
	int count;
	size_t i;

	limit_add(pid, 5000 * MIB);
	for (i = 0; i < sizeof(huge) / sizeof(*huge); i++) {
		count = -1;
		ok(limit_get(&one, huge[i], &count) == 0 && count == 1 && one.pid == pid,
		   "max_entries %llu", (unsigned long long)huge[i]);
	}
	limit_remove(pid);
}

static void file(pid_t pid)
{
	void *volatile nowhere = (void *)8;
	unsigned int i, wrong = 0;

	ok(ioctl(door, SO2_IOC_ADD, NULL) && errno == EFAULT, "ioctl add NULL: EFAULT");
	ok(ioctl(door, SO2_IOC_UPDATE, nowhere) && errno == EFAULT,
	   "ioctl update bad address: EFAULT");
	ok(ioctl(door, SO2_IOC_REMOVE, NULL) && errno == EFAULT, "ioctl remove NULL: EFAULT");
	ok(ioctl(door, SO2_IOC_GET, NULL) && errno == EFAULT, "ioctl get NULL: EFAULT");
	for (i = 4; i < 256; i++)
		wrong += !ioctl(door, _IO(SO2_IOC_MAGIC, i), &pid) || errno != ENOTTY;
	wrong += !ioctl(door, _IOW(SO2_IOC_MAGIC, 0, int), &pid) || errno != ENOTTY;
	wrong += !ioctl(door, _IOW(SO2_IOC_MAGIC + 1, 0, struct memory_limitation), &pid) ||
		 errno != ENOTTY;
	ok(!wrong, "other ioctls: ENOTTY");
	ok(SO2_IOC_ADD == 0x4010b900 && SO2_IOC_GET == 0xc018b901 && SO2_IOC_UPDATE == 0x4010b902 &&
		   SO2_IOC_REMOVE == 0x4004b903,
	   "the numbers are those that the header's comment states");
	ok(read(door, &pid, 1) < 0 && write(door, &pid, 1) < 0, "nothing to read or write");
}

/* What a 32-bit program does; only pointers below 4 GiB can be given so. */
static long ioctl32(unsigned int command, void *arg)
{
	long ret;

	asm volatile("int $0x80"
		     : "=a"(ret)
		     : "a"(54), "b"(door), "c"(command), "d"(arg)
		     : "memory", "r8", "r9", "r10", "r11");
	return (int)ret;
}

/* Every kernel of these tests has CONFIG_IA32_EMULATION: without, this would crash. */
static void file32(pid_t pid)
{
	struct {
		struct memory_limitation process, back;
		struct so2_get get;
		__s32 pid, count;
	} *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT,
		      -1, 0);

	low->process = (struct memory_limitation){.pid = pid, .memory_limit = 5000 * MIB};
	ok(!ioctl32(SO2_IOC_ADD, &low->process), "32-bit add");
	low->get = (struct so2_get){(uintptr_t)&low->back, 1, (uintptr_t)&low->count};
	ok(!ioctl32(SO2_IOC_GET, &low->get) && low->count == 1 && low->back.pid == pid &&
		   low->back.memory_limit == 5000 * MIB,
	   "32-bit get: the same layout");
	low->process.memory_limit = 6000 * MIB;
	ok(!ioctl32(SO2_IOC_UPDATE, &low->process) && listed_limit(pid) == 6000 * MIB,
	   "32-bit update");
	ok(ioctl32(SO2_IOC_ADD, &low->process) == -SO2_ELISTED, "32-bit add again: listed");
	low->pid = pid;
	ok(!ioctl32(SO2_IOC_REMOVE, &low->pid), "32-bit remove");
	munmap(low, 4096);
}

int main(void)
{
	struct subject first, second;

	door_open();
	first = subject_start(subject_idle);
	second = subject_start(subject_idle);
	arguments(first.pid);
	listed_or_not(first.pid);
	zombie();
	thread_id();
	values(first.pid);
	get_arguments(first.pid, second.pid);
	huge_max_entries(first.pid);
	if (door_is_file()) {
		file(first.pid);
		file32(first.pid);
	}
	ok(listed_count() == 0, "the list is empty in the end");
	subject_dismiss(first);
	subject_dismiss(second);
	return tap_end();
}
