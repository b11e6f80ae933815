// SPDX-License-Identifier: GPL-2.0
/* Every field against /proc/PID/stat and status, for processes in every state. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <time.h>

#include "document.h"
#include "tap.h"

struct proc_says {
	char comm[64], state;
	int ppid, threads;
	unsigned int uid;
	long long rss, vsz, swap, ticks, start; /* KiB, KiB, KiB, clock ticks */
	long long faults, nice, oom_score_adj, read, written;
	bool io; /* the kernel counts what is read and written */
};

static char *slurp(const char *format, int pid)
{
	char path[64], *text = calloc(1, 8192);
	int fd;

	snprintf(path, sizeof(path), format, pid);
	fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, text, 8191) <= 0) {
		free(text);
		text = NULL;
	}
	close(fd);
	return text;
}

static bool proc_read(int pid, struct proc_says *says)
{
	char *stat = slurp("/proc/%d/stat", pid), *status = slurp("/proc/%d/status", pid);
	char *score = slurp("/proc/%d/oom_score_adj", pid), *io = slurp("/proc/%d/io", pid);
	unsigned long long user, sys, start, vsz, faults;
	bool fine = stat && status;
	const char *at;

	memset(says, 0, sizeof(*says));
	if (fine) {
		char *end = strrchr(stat, ')');

		*end = 0;
		snprintf(says->comm, sizeof(says->comm), "%s", strchr(stat, '(') + 1);
		fine = sscanf(end + 2,
			      "%c %d %*d %*d %*d %*d %*u %*u %*u %llu %*u %llu %llu %*d %*d %*d "
			      "%lld "
			      "%d %*d %llu %llu",
			      &says->state, &says->ppid, &faults, &user, &sys, &says->nice,
			      &says->threads, &start, &vsz) == 9;
		says->faults = faults;
		says->ticks = user + sys;
		says->start = start;
		says->vsz = vsz / 1024;
		at = strstr(status, "\nVmRSS:");
		says->rss = at ? atoll(at + 7) : 0;
		at = strstr(status, "\nVmSwap:");
		says->swap = at ? atoll(at + 8) : 0;
		at = strstr(status, "\nUid:");
		says->uid = at ? strtoul(at + 5, NULL, 10) : 0;
		fine = fine && score;
		says->oom_score_adj = score ? atoll(score) : 0;
		says->io = io;
		at = io ? strstr(io, "\nread_bytes:") : NULL;
		says->read = at ? atoll(at + 12) : 0;
		at = io ? strstr(io, "\nwrite_bytes:") : NULL;
		says->written = at ? atoll(at + 13) : 0;
	}
	free(score);
	free(io);
	free(stat);
	free(status);
	return fine;
}

static int state_number(char letter)
{
	static const char letters[] = "RSDTtXZPI";
	static const int numbers[] = {0, 1, 2, 4, 8, 16, 32, 64, 1026};
	const char *at = strchr(letters, letter);

	return at ? numbers[at - letters] : -2;
}

/* Ticks are 10 ms; a running process moves on between the looks. */
static bool near(long long a, long long b, long long by)
{
	return llabs(a - b) <= by;
}

static bool complain(int pid, const char *key, long long ours, long long theirs)
{
	printf("# pid %d %s: %lld, /proc says %lld\n", pid, key, ours, theirs);
	return false;
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return done;
}

static long long boot_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

#define CHECK(key, ours, theirs, by)                             \
	do {                                                     \
		if (!near(ours, theirs, by))                     \
			fine = complain(pid, key, ours, theirs); \
	} while (0)

static bool same(const char *text, int pid, const struct proc_says *says, long long total)
{
	const char *at = process_find(text, pid);
	long long cpu_ns = process_field(at, "cpu_ns"), start_ns = process_field(at, "start_ns");
	bool fine = at;

	CHECK("ppid", process_field(at, "ppid"), says->ppid, 0);
	CHECK("uid", process_field(at, "uid"), says->uid, 0);
	CHECK("threads", process_field(at, "threads"), says->threads, 0);
	CHECK("state", process_field(at, "state"), state_number(says->state), 0);
	CHECK("rss", process_field(at, "rss"), says->rss, 0);
	CHECK("vsz", process_field(at, "vsz"), says->vsz, 0);
	CHECK("swap", process_field(at, "swap"), says->swap, 0);
	CHECK("major_faults", process_field(at, "major_faults"), says->faults, 0);
	CHECK("read_bytes", process_field(at, "read_bytes"), says->io ? says->read : -1, 0);
	CHECK("written_bytes", process_field(at, "written_bytes"), says->io ? says->written : -1,
	      0);
	CHECK("nice", process_field(at, "nice"), says->nice, 0);
	CHECK("oom_score_adj", process_field(at, "oom_score_adj"), says->oom_score_adj, 0);
	CHECK("start", start_ns / 10000000, says->start, 0);
	CHECK("cpu", cpu_ns / 10000000, says->ticks, 20);
	CHECK("mem_percent", process_field(at, "mem_percent"),
	      process_field(at, "rss") * 100 / total, 0);
	CHECK("cpu", process_field(at, "cpu"), cpu_ns * 100 / (boot_clock() - start_ns), 5);
	return fine;
}

/* Every process that /proc tells the same of before and after. */
static void everybody(void)
{
	DIR *proc = opendir("/proc");
	long long total;
	int compared = 0, wrong = 0, kthreads = 0;
	struct dirent *entry;

	while ((entry = readdir(proc))) {
		struct proc_says before, after;
		int pid = atoi(entry->d_name);
		char *text;

		if (pid <= 0 || !proc_read(pid, &before))
			continue;
		text = document_read(SYSINFO);
		total = atoll(strstr(text, "\"total_ram\":") + 12);
		if (pid != getpid() && proc_read(pid, &after) &&
		    !memcmp(&before, &after, sizeof(after))) {
			compared++;
			kthreads += !after.vsz;
			wrong += !same(text, pid, &after, total);
		}
		free(text);
	}
	closedir(proc);
	ok(compared > 20 && kthreads > 10 && !wrong, "%d stable processes, %d wrong in some field",
	   compared, wrong);
}

static char *document_of(int pid, const char **process)
{
	char *text = document_read(SYSINFO);

	*process = text ? process_find(text, pid) : NULL;
	return text;
}

static long long field_of(int pid, const char *key)
{
	const char *process;
	char *text = document_of(pid, &process);
	long long value = process_field(process, key);

	free(text);
	return value;
}

/* Waits, within reason, until /proc shows @state. */
static void settle(int pid, char state)
{
	struct proc_says says;
	int i;

	for (i = 0; i < 500 && proc_read(pid, &says) && says.state != state; i++)
		usleep(10000);
}

static void in_state(int pid, char state, int number, const char *what)
{
	settle(pid, state);
	ok(field_of(pid, "state") == number, "a process %s has state %d", what, number);
}

static void states(void)
{
	pid_t child = fork();

	if (!child)
		for (;;)
			pause();
	in_state(child, 'S', 1, "asleep");
	kill(child, SIGSTOP);
	in_state(child, 'T', 4, "stopped");
	ptrace(PTRACE_SEIZE, child, 0, 0);
	ptrace(PTRACE_INTERRUPT, child, 0, 0);
	in_state(child, 't', 8, "traced");
	kill(child, SIGKILL);
	in_state(child, 'Z', 32, "not waited for");
	ok(!field_of(child, "rss") && !field_of(child, "vsz") &&
		   field_of(child, "ppid") == getpid(),
	   "and no memory, but its parent still");
	waitpid(child, NULL, 0);
	ok(field_of(child, "pid") < 0, "and is not there once waited for");
	child = fork();
	if (!child)
		for (;;)
			;
	in_state(child, 'R', 0, "running");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	ok(field_of(2, "state") >= 0 && !field_of(2, "rss") && !field_of(2, "vsz"),
	   "a kernel thread has no memory");
}

static void burn(long long ns)
{
	struct timespec t;

	do
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	while (t.tv_sec * 1000000000LL + t.tv_nsec < ns);
}

static void *burner(void *arg)
{
	burn(*(long long *)arg);
	return NULL;
}

static long long cpu_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Between two looks at the clock, so neither more nor less than what it says. */
static void cpu(void)
{
	long long each = 150000000, before, ours, after, started = cpu_clock();
	pthread_t threads[4];
	int i;

	for (i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, burner, &each);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	before = cpu_clock();
	/* A look is up to one scheduler tick old. */
	ours = field_of(getpid(), "cpu_ns");
	after = cpu_clock();
	printf("# cpu %lld <= %lld <= %lld\n", before, ours, after);
	ok(before - started >= 4 * each && ours >= before - 20000000 && ours <= after,
	   "the time of threads that have exited counts");
}

/*
 * The age that the percentage is of lies between two looks at the clock, however slow the guest;
 * and there a process that only runs has half a processor at the least.
 */
static void cpu_percent(void)
{
	long long before, after, least, most, cpu, cpu_ns, start_ns;
	pid_t child = fork();
	const char *process;
	char *text;
	int i;

	if (!child)
		for (;;)
			;
	for (i = 0; i < 500 && field_of(child, "cpu_ns") < 300000000; i++)
		usleep(10000);
	before = boot_clock();
	text = document_of(child, &process);
	after = boot_clock();
	cpu = process_field(process, "cpu");
	cpu_ns = process_field(process, "cpu_ns");
	start_ns = process_field(process, "start_ns");
	least = cpu_ns * 100 / (after - start_ns);
	most = cpu_ns * 100 / (before - start_ns) + 1;
	printf("# cpu percent %lld <= %lld <= %lld\n", least, cpu, most);
	ok(cpu > 20 && cpu >= least && cpu <= most, "the percentage of a busy process");
	free(text);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* A twentieth of the memory, so that the percentage is more than a few. */
static void mem_percent(void)
{
	long long rss, total, percent;
	struct proc_says says;
	struct sysinfo info;
	const char *process;
	size_t size;
	pid_t child;
	char *text;

	sysinfo(&info);
	size = (size_t)info.totalram * info.mem_unit / 20;
	child = fork();
	if (!child) {
		memset(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		       1, size);
		for (;;)
			pause();
	}
	do {
		usleep(10000);
	} while (proc_read(child, &says) && says.rss < (long long)size / 1024 - 1024);
	text = document_of(child, &process);
	total = atoll(strstr(text, "\"total_ram\":") + 12);
	rss = process_field(process, "rss");
	percent = process_field(process, "mem_percent");
	printf("# %lld of %lld KiB are %lld percent\n", rss, total, percent);
	ok(percent >= 4 && percent == rss * 100 / total, "the percentage of a large process");
	free(text);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void *outlive(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

static void leader_gone(void)
{
	struct proc_says says;
	const size_t size = 32 << 20;
	pid_t child = fork();

	if (!child) {
		pthread_t thread;

		memset(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		       1, size);
		pthread_create(&thread, NULL, outlive, NULL);
		pthread_exit(NULL);
	}
	settle(child, 'Z');
	proc_read(child, &says);
	ok(says.state == 'Z' && field_of(child, "rss") >= (long long)size / 1024 - 1024 &&
		   field_of(child, "vsz") >= (long long)size / 1024,
	   "a process whose first thread has exited has its memory still");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void uid(void)
{
	pid_t child = fork();
	struct proc_says says;

	if (!child) {
		if (setreuid(4242, 4343))
			_exit(1);
		for (;;)
			pause();
	}
	do {
		usleep(10000);
	} while (proc_read(child, &says) && says.uid != 4242);
	ok(field_of(child, "uid") == 4242, "the real uid");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* What a container has: a procfs of its own pid namespace, and root. */
static bool own_mount_refuses(void)
{
	const char *own = "/tmp/proc";
	char path[64];

	snprintf(path, sizeof(path), "%s/%s", own, strrchr(SYSINFO, '/') + 1);
	if (unshare(CLONE_NEWNS) || mkdir(own, 0755) || mount("proc", own, "proc", 0, NULL) ||
	    access(path, F_OK))
		return false;
	return open(path, O_RDONLY) < 0 && errno == EACCES;
}

static void nested_pids(void)
{
	int ready[2];
	char byte = 0;
	pid_t child;

	if (pipe(ready) || unshare(CLONE_NEWPID))
		exit(1);
	child = fork();
	if (!child) {
		/* Seen from the first namespace whoever looks. */
		char *text = document_read(SYSINFO);

		byte = text && process_find(text, 2) && json_valid(text);
		if (!own_mount_refuses())
			byte = 0;
		if (write(ready[1], &byte, 1) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	ok(read(ready[0], &byte, 1) == 1 && byte && field_of(child, "ppid") == getpid(),
	   "a pid namespace of its own: pids are the first namespace's, its own procfs refuses");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void urgency(void)
{
	static const struct {
		int nice, score;
	} cases[] = {{7, 500}, {-13, -999}, {19, 1000}, {-20, -1000}};
	char text[16];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int ready[2];
		pid_t child;
		char word;

		if (pipe(ready))
			exit(1);
		child = fork();
		if (!child) {
			snprintf(text, sizeof(text), "%d", cases[i].score);
			if (!setpriority(PRIO_PROCESS, 0, cases[i].nice) &&
			    write_file("/proc/self/oom_score_adj", text) &&
			    write(ready[1], "", 1) == 1)
				pause();
			_exit(1);
		}
		close(ready[1]);
		ok(read(ready[0], &word, 1) == 1 && field_of(child, "nice") == cases[i].nice &&
			   field_of(child, "oom_score_adj") == cases[i].score,
		   "nice %d, oom_score_adj %d", cases[i].nice, cases[i].score);
		close(ready[0]);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
}

#define DISK "/dev/nvme0n1"
#define PART (4 << 20)

/* By threads that have exited, so that theirs counts too. */
static void *uses_the_disk(void *unused)
{
	int fd = open(DISK, O_RDWR);
	char *text = calloc(1, PART), *map;
	volatile char sum = 0;
	int i;

	memset(text, 'x', PART);
	if (pwrite(fd, text, PART, PART) != PART || fsync(fd) ||
	    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
		exit(1);
	map = mmap(NULL, PART, PROT_READ, MAP_SHARED, fd, 2 * PART);
	for (i = 0; i < PART; i += 4096)
		sum += map[i];
	munmap(map, PART);
	close(fd);
	free(text);
	return unused;
}

static void disk(void)
{
	struct proc_says says;
	pthread_t thread;
	long long faults;

	if (!proc_read(getpid(), &says) || !says.io) {
		printf("# this kernel does not count what is read and written\n");
		return;
	}
	faults = field_of(getpid(), "major_faults");
	pthread_create(&thread, NULL, uses_the_disk, NULL);
	pthread_join(thread, NULL);
	proc_read(getpid(), &says);
	ok(field_of(getpid(), "written_bytes") == says.written && says.written >= PART,
	   "%lld bytes written to a disk", says.written);
	ok(field_of(getpid(), "read_bytes") == says.read && says.read >= PART,
	   "%lld bytes read from it", says.read);
	ok(field_of(getpid(), "major_faults") == says.faults && says.faults > faults,
	   "%lld major faults", says.faults - faults);
}

/* A process whose memory the kernel is told to put away. */
static void swapped(void)
{
	const size_t size = 8 << 20;
	struct proc_says says;
	int ready[2], i;
	pid_t child;
	char word;

	if (!proc_read(getpid(), &says) || !says.io)
		return;
	if (pipe(ready) || system("mkswap " DISK " > /dev/null && swapon " DISK))
		exit(1);
	child = fork();
	if (!child) {
		char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				    -1, 0);

		memset(memory, 1, size);
		for (i = 0; i < 10; i++) {
			madvise(memory, size, MADV_PAGEOUT);
			usleep(100000);
		}
		if (write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	if (read(ready[0], &word, 1) != 1 || !proc_read(child, &says))
		exit(1);
	ok(says.swap > 4096 && field_of(child, "swap") == says.swap, "%lld KiB in swap", says.swap);
	close(ready[0]);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	ok(!system("swapoff " DISK), "which is let go");
}

static void *short_life(void *unused)
{
	burn(2000000);
	return unused;
}

/*
 * CPU time never steps back while threads exit. So many others idle that a sum over all of them
 * takes long, and those that exit are the last of them: one is bound to go in the middle of it.
 */
static void never_back(void)
{
	long long last = 0, now, start, back = 0, looks = 0;
	int idle = portion(1500), enough = portion(200);
	pid_t child = fork();

	if (!child) {
		pthread_attr_t small;
		pthread_t thread;
		int i;

		pthread_attr_init(&small);
		pthread_attr_setstacksize(&small, 16384);
		for (i = 0; i < idle; i++)
			if (pthread_create(&thread, &small, outlive, NULL))
				_exit(1);
		for (;;) {
			pthread_create(&thread, &small, short_life, NULL);
			pthread_join(thread, NULL);
		}
	}
	while (field_of(child, "threads") < idle)
		usleep(10000);
	for (start = boot_clock(); boot_clock() - start < 2000000000 || looks < enough; looks++) {
		now = field_of(child, "cpu_ns");
		back += now < last;
		last = now;
	}
	ok(!back && last, "CPU time steps back in %lld of %lld looks while threads exit", back,
	   looks);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static long long meminfo(const char *key)
{
	char *text = slurp("/proc/meminfo", 0);
	char *at = text ? strstr(text, key) : NULL;
	long long value = at ? atoll(at + strlen(key)) : -1;

	free(text);
	return value;
}

static void totals(void)
{
	long long total, free_ram, used, available, taken, before = boot_clock(), after;
	char *text = document_read(SYSINFO);
	struct sysinfo info;

	after = boot_clock();
	sysinfo(&info);
	ok(sscanf(text,
		  "{\"total_ram\":%lld,\"free_ram\":%lld,\"used_ram\":%lld,"
		  "\"available_ram\":%lld,\"taken_ns\":%lld,\"processes\":[",
		  &total, &free_ram, &used, &available, &taken) == 5 &&
		   total == (long long)info.totalram / 1024 * info.mem_unit &&
		   used == total - free_ram && near(free_ram, info.freeram / 1024, 32768),
	   "total, free and used memory");
	ok(near(available, meminfo("\nMemAvailable:"), 32768) && available <= total,
	   "available memory: %lld KiB", available);
	ok(taken >= before && taken <= after, "when it was taken");
	free(text);
}

int main(void)
{
	totals();
	everybody();
	states();
	leader_gone();
	cpu();
	cpu_percent();
	mem_percent();
	uid();
	urgency();
	disk();
	swapped();
	never_back();
	nested_pids();
	return tap_end();
}
