// SPDX-License-Identifier: GPL-2.0
/* Every process that ends is told once, whoever reads, and what a reader missed is known. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "document.h"
#include "module.h"
#include "tap.h"

#define EXITS "/proc/exits_so1_202300539"
#define ID    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define LINES (1 << 20) /* bytes for the lines of one read */

static long long now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static bool put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return done;
}

/* An open file at the end of what there is. */
static int open_at_end(int flags)
{
	int fd = open(EXITS, O_RDONLY | flags);

	if (fd < 0 || lseek(fd, 0, SEEK_END) < 0) {
		printf("Bail out! %s: %s\n", EXITS, strerror(errno));
		exit(1);
	}
	return fd;
}

/* The line that tells of @pid, to be freed; NULL where none does. */
static char *line_of(int fd, int pid)
{
	char *text = malloc(LINES), *line, *rest, *found = NULL, key[32];
	ssize_t got;

	snprintf(key, sizeof(key), "\"pid\":%d,", pid);
	while (!found && (got = read(fd, text, LINES - 1)) > 0) {
		text[got] = 0;
		for (line = text; *line && !found; line = rest) {
			rest = strchr(line, '\n') + 1;
			if (strstr(line, key) && strstr(line, key) < rest)
				found = strndup(line, rest - line);
		}
	}
	free(text);
	return found;
}

/* Ends as @body says; its line, and what wait4() says of it. */
static char *ended(int (*body)(void), struct rusage *usage, int *status, int *pid)
{
	int fd = open_at_end(O_NONBLOCK);
	char *line;

	*pid = fork();
	if (!*pid)
		_exit(body());
	wait4(*pid, status, 0, usage);
	line = line_of(fd, *pid);
	close(fd);
	return line;
}

static int forty_two(void)
{
	prctl(PR_SET_NAME, "a \"name\"\n");
	setuid(1234);
	return 42;
}

static int killed(void)
{
	raise(SIGKILL);
	return 0;
}

static int segfault(void)
{
	raise(SIGSEGV);
	return 0;
}

/* Without a system call that would make the scheduler add up. */
static void burn(long long ns)
{
	long long until = now_ns(CLOCK_MONOTONIC) + ns;

	while (now_ns(CLOCK_MONOTONIC) < until)
		;
}

static int burner(void)
{
	burn(300000000);
	return 0;
}

static int toucher(void)
{
	memset(mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1,
	       64 << 20);
	return 0;
}

static void *thread_burns(void *unused)
{
	burn(100000000);
	return unused;
}

static int threaded(void)
{
	pthread_t threads[3];
	int i;

	for (i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, thread_burns, NULL);
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

/* The first thread goes first. */
static void *last_of_all(void *unused)
{
	usleep(50000);
	_exit(7);
	return unused;
}

static int headless(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, last_of_all, NULL);
	pthread_exit(NULL);
}

static int hungry(void)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	if (!put("/cgroup/hungry/cgroup.procs", pid))
		return 1;
	return toucher();
}

static int contained(void)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	return !put("/cgroup/docker/" ID "/cgroup.procs", pid);
}

static long long used_ns(const struct rusage *usage)
{
	return (usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000000LL +
	       (usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) * 1000LL;
}

/* Within 3 % or two ticks: without a better clock, debug kernels count by those. */
static bool near(long long one, long long other)
{
	return llabs(one - other) <= other * 3 / 100 + 2 * 4000000;
}

static void fields(void)
{
	long long before = now_ns(CLOCK_BOOTTIME), start, end, cpu;
	struct rusage usage;
	int status, pid;
	struct stat st;
	char *line;

	line = ended(forty_two, &usage, &status, &pid);
	ok(line && json_valid(line), "a line is JSON: %.200s", line ?: "none");
	ok(process_field(line, "code") == 42 && process_field(line, "signal") == 0,
	   "its exit code");
	ok(line && strstr(line, "\"name\":\"a \\\"name\\\"\\u000a\""), "its name, escaped");
	ok(process_field(line, "uid") == 1234 && process_field(line, "ppid") == getpid(),
	   "its user and its parent");
	start = process_field(line, "start_ns");
	end = process_field(line, "end_ns");
	ok(before <= start && start <= end && end <= now_ns(CLOCK_BOOTTIME),
	   "it started and ended within the test");
	ok(line && strstr(line, "\"oom_killed\":false") && !process_container(line),
	   "neither killed for memory nor in a container");
	stat("/cgroup", &st);
	ok(process_field(line, "cgroup") == (long long)st.st_ino, "its cgroup by inode number");
	free(line);

	line = ended(killed, &usage, &status, &pid);
	ok(process_field(line, "signal") == SIGKILL && process_field(line, "code") == 0,
	   "killed by a signal");
	free(line);
	line = ended(segfault, &usage, &status, &pid);
	ok(process_field(line, "signal") == SIGSEGV, "a segmentation fault");
	free(line);
	line = ended(headless, &usage, &status, &pid);
	ok(WEXITSTATUS(status) == 7 && process_field(line, "code") == 7,
	   "the last thread's code where the first went first");
	free(line);

	line = ended(burner, &usage, &status, &pid);
	cpu = process_field(line, "cpu_ns");
	ok(near(cpu, used_ns(&usage)), "CPU time: %lld ns, wait4() says %lld", cpu,
	   used_ns(&usage));
	free(line);
	line = ended(threaded, &usage, &status, &pid);
	cpu = process_field(line, "cpu_ns");
	ok(near(cpu, used_ns(&usage)), "CPU time of threads too: %lld ns, wait4() says %lld", cpu,
	   used_ns(&usage));
	free(line);
	line = ended(toucher, &usage, &status, &pid);
	ok(process_field(line, "peak_rss") == usage.ru_maxrss,
	   "peak RSS: %lld KiB, wait4() says %ld", process_field(line, "peak_rss"),
	   usage.ru_maxrss);
	free(line);

	mkdir("/cgroup/docker", 0755);
	mkdir("/cgroup/docker/" ID, 0755);
	line = ended(contained, &usage, &status, &pid);
	stat("/cgroup/docker/" ID, &st);
	ok(process_container(line) && !strncmp(process_container(line), ID "\"", 65) &&
		   process_field(line, "cgroup") == (long long)st.st_ino,
	   "its container");
	free(line);
	put("/cgroup/cgroup.subtree_control", "+memory");
	mkdir("/cgroup/hungry", 0755);
	ok(put("/cgroup/hungry/memory.max", "16M"), "a cgroup with a limit");
	/* What the kernel tells of it looks like a complaint. */
	put("/proc/sys/kernel/printk", "1");
	line = ended(hungry, &usage, &status, &pid);
	put("/proc/sys/kernel/printk", "5");
	ok(process_field(line, "signal") == SIGKILL && line && strstr(line, "\"oom_killed\":true"),
	   "killed for memory");
	free(line);
	rmdir("/cgroup/hungry");
	rmdir("/cgroup/docker/" ID);
	rmdir("/cgroup/docker");
}

/* Short ones, in which the scheduler has not added up once. */
static void short_ones(void)
{
	long long told = 0, real = 0;
	int i, fd = open_at_end(O_NONBLOCK), count = portion(200);
	struct rusage usage;
	char *line;

	for (i = 0; i < count; i++) {
		pid_t pid = fork();

		if (!pid) {
			burn(1000000);
			_exit(0);
		}
		wait4(pid, NULL, 0, &usage);
		real += used_ns(&usage);
		line = line_of(fd, pid);
		told += process_field(line, "cpu_ns");
		free(line);
	}
	close(fd);
	/* What wait4() says has the exit itself in it, to where the process is reaped. */
	ok(told > count * 1000000LL && told < real * 110 / 100,
	   "%d processes of 1 ms used %lld us, wait4() says %lld", count, told / 1000, real / 1000);
}

static void *exit_soon(void *unused)
{
	pid_t pid;

	usleep(100000);
	pid = fork();
	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
	return unused;
}

static void doors(void)
{
	struct pollfd waiting = {.events = POLLIN};
	char text[1024], small[16];
	long long began;
	pthread_t thread;
	int fd = open_at_end(O_NONBLOCK), other;
	off_t end;

	ok(read(fd, text, sizeof(text)) < 0 && errno == EAGAIN, "nothing new is EAGAIN");
	ok(!read(fd, text, 0), "a read of nothing is nothing");
	waiting.fd = fd;
	ok(!poll(&waiting, 1, 0), "poll() does not say that there is something");
	began = now_ns(CLOCK_MONOTONIC);
	pthread_create(&thread, NULL, exit_soon, NULL);
	ok(poll(&waiting, 1, 20000) == 1 && waiting.revents & POLLIN, "poll() waits for an exit");
	ok(now_ns(CLOCK_MONOTONIC) - began > 50000000, "it did wait");
	pthread_join(thread, NULL);
	ok(read(fd, small, sizeof(small)) < 0 && errno == EINVAL, "half a line is EINVAL");
	ok(read(fd, text, sizeof(text)) > 0, "and nothing of it is lost");
	end = lseek(fd, 0, SEEK_END);
	ok(syscall(SYS_pread64, fd, 1UL, sizeof(text), end - 1) < 0 && errno == EFAULT,
	   "a bad address is EFAULT");
	ok(lseek(fd, end + 1, SEEK_SET) < 0 && errno == EINVAL, "beyond the end is EINVAL");
	ok(lseek(fd, -1, SEEK_SET) < 0 && errno == EINVAL, "so is before the begin");
	ok(lseek(fd, end - 1, SEEK_SET) == end - 1 && read(fd, text, sizeof(text)) > 0 &&
		   process_field(text, "seq") == end - 1,
	   "a place is the number of an exit");
	ok(pread(fd, text, sizeof(text), end - 1) > 0 && lseek(fd, 0, SEEK_CUR) == end,
	   "pread() moves nothing");
	close(fd);

	fd = open_at_end(0);
	other = open(EXITS, O_RDONLY);
	pthread_create(&thread, NULL, exit_soon, NULL);
	ok(read(fd, text, sizeof(text)) > 0 && process_field(text, "seq") >= end,
	   "a read waits for an exit");
	pthread_join(thread, NULL);
	ok(read(other, text, sizeof(text)) > 0 && process_field(text, "seq") < end,
	   "another open file is at a place of its own");
	close(other);
	close(fd);
	ok(!put(EXITS, "x"), "it cannot be written");
}

/* A reader: how many lines came, how many numbers were left out between, whether all was well. */
struct reader {
	long pause_us; /* between two reads */
	size_t chunk;
	long long first, next, came, lost;
	bool good;
	volatile bool *stop;
	pthread_t thread;
};

static void *read_all(void *arg)
{
	struct reader *reader = arg;
	char *text = malloc(LINES);
	int fd = open(EXITS, O_RDONLY | O_NONBLOCK);
	ssize_t got;
	bool last;

	reader->next = lseek(fd, reader->first, SEEK_SET);
	reader->good = reader->next == reader->first;
	for (;;) {
		char *line;

		last = *reader->stop; /* what came before this is still read */
		got = read(fd, text, reader->chunk);
		if (got < 0 && errno == EAGAIN && last)
			break;
		text[got > 0 ? got : 0] = 0;
		reader->good = reader->good && (got > 0 || errno == EAGAIN);
		for (line = text; *line; line = strchr(line, '\n') + 1) {
			long long seq = process_field(line, "seq");

			reader->good = reader->good && seq >= reader->next &&
				       process_field(line, "end_ns") > 0;
			reader->lost += seq - reader->next;
			reader->next = seq + 1;
			reader->came++;
		}
		if (reader->pause_us || got < 0)
			usleep(last || !reader->pause_us ? 1000 : reader->pause_us);
	}
	close(fd);
	free(text);
	return NULL;
}

static int at_once(void *unused)
{
	return unused != NULL;
}

/* Starts and ends @count processes that share our memory. */
static int storm(int count)
{
	static char stacks[4096];
	int i, ended = 0;

	for (i = 0; i < count; i++) {
		pid_t pid = clone(at_once, stacks + sizeof(stacks),
				  CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_FS | SIGCHLD, NULL);

		ended += pid > 0 && waitpid(pid, NULL, 0) == pid;
	}
	return ended == count;
}

/* SO1_EXITS says how many processes a storm has. */
static int how_many(void)
{
	const char *many = getenv("SO1_EXITS");

	return many ? atoi(many) : portion(20000);
}

static void storms(void)
{
	volatile bool stop = false;
	struct reader readers[] = {
		{.chunk = LINES - 1},
		{.chunk = 1024},
		{.chunk = 4096, .pause_us = 20000},
		{.chunk = LINES - 1, .pause_us = 6000000},
	};
	int i, count = how_many() / 4 * 4, status, fd = open_at_end(0);
	long long first = lseek(fd, 0, SEEK_CUR), total;
	bool all = true;
	pid_t children[4];

	for (i = 0; i < 4; i++) {
		readers[i].first = first;
		readers[i].stop = &stop;
		pthread_create(&readers[i].thread, NULL, read_all, &readers[i]);
	}
	for (i = 0; i < 4; i++) {
		children[i] = fork();
		if (!children[i])
			_exit(!storm(count / 4));
	}
	for (i = 0; i < 4; i++)
		all = waitpid(children[i], &status, 0) == children[i] && !status && all;
	stop = true;
	for (i = 0; i < 4; i++)
		pthread_join(readers[i].thread, NULL);
	total = lseek(fd, 0, SEEK_END) - first;
	/* Those that made the storm ended as well. */
	ok(all && total == count + 4, "%d exits at once: %lld are numbered", count, total);
	for (i = 0; i < 4; i++)
		ok(readers[i].good && readers[i].came + readers[i].lost == total,
		   "reader %d had %lld, and knows of %lld that it lost", i, readers[i].came,
		   readers[i].lost);
	ok(readers[3].lost || count < 20000, "the slow one did lose some");
	close(fd);
}

static pthread_barrier_t together;

static void *go_together(void *unused)
{
	pthread_barrier_wait(&together);
	return unused;
}

/* All threads end together, the first one as well: each process is told once. */
static void threads_at_once(void)
{
	int i, j, count = portion(1000), told = 0, fd = open_at_end(O_NONBLOCK);
	long long first = lseek(fd, 0, SEEK_CUR);

	for (i = 0; i < count; i++) {
		pid_t pid = fork();

		if (!pid) {
			pthread_t threads[7];

			pthread_barrier_init(&together, NULL, 8);
			for (j = 0; j < 7; j++)
				pthread_create(&threads[j], NULL, go_together, NULL);
			pthread_barrier_wait(&together);
			pthread_exit(NULL);
		}
		waitpid(pid, NULL, 0);
	}
	told = lseek(fd, 0, SEEK_END) - first;
	ok(told == count, "%d processes of 8 threads each that end together: %d exits", count,
	   told);
	close(fd);
}

static volatile bool storming;

static void *keep_storming(void *unused)
{
	while (storming)
		storm(50);
	return unused;
}

static void loading(void)
{
	static const char *const bad[] = {"suffix=a/b", "gid=-1", "records=1023",
					  "records=1048577"};
	int i, fd, failed = 0, ret, rounds = portion(30);
	pthread_t thread;
	char text[1024];

	ok(load("so1_exits", "") == EEXIST, "twice is EEXIST");
	fd = open(EXITS, O_RDONLY);
	ok(unload("so1_exits") == EAGAIN && read(fd, text, sizeof(text)) > 0,
	   "who has it open keeps it");
	close(fd);
	ok(!unload("so1_exits") && access(EXITS, F_OK), "it unloads, its file is gone");
	for (i = 0; i < 4; i++) {
		ret = load("so1_exits", bad[i]);
		ok(ret == EINVAL || ret == ERANGE, "%s is refused (%s)", bad[i], strerror(ret));
	}
	storming = true;
	pthread_create(&thread, NULL, keep_storming, NULL);
	for (i = 0; i < rounds; i++) {
		failed += !!load("so1_exits", "records=1024");
		fd = open(EXITS, O_RDONLY);
		failed += fd < 0;
		usleep(10000);
		close(fd);
		failed += !!unload("so1_exits");
	}
	storming = false;
	pthread_join(thread, NULL);
	ok(!failed, "it comes and goes %d times while processes end", rounds);
}

int main(void)
{
	if (load("so1_exits", "gid=1234 records=2048")) {
		printf("Bail out! so1_exits.ko does not load: %s\n", strerror(errno));
		return 1;
	}
	fields();
	short_ones();
	doors();
	threads_at_once();
	storms();
	loading();
	return tap_end();
}
