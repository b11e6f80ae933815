// SPDX-License-Identifier: GPL-2.0
/* One document, whatever the sizes and the order of the reads and whatever starts and exits. */
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "crowd.h"
#include "document.h"
#include "module.h"
#include "tap.h"

#define MANY	 1750 /* a document of more than 256 KiB: its buffer has grown six times */
#define CHURNERS 2
#define ROUNDS	 10
#define TRIES	 20
#define FILES	 1000
#define OFTEN	 32 /* reads of the guest's own processes that cost about one with MANY more */

/* All of these in portions, where the machine is slow. */
static int many_more, often;

static pid_t churners[CHURNERS];
static volatile unsigned long *churned; /* how many have come and gone, counted by the churners */

static void churn_start(void)
{
	int i;

	churned = mmap(NULL, sizeof(*churned), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (churned == MAP_FAILED)
		exit(1);
	for (i = 0; i < CHURNERS; i++) {
		churners[i] = fork();
		if (churners[i])
			continue;
		for (;;) {
			pid_t child = fork();

			if (!child)
				_exit(0);
			if (child > 0 && waitpid(child, NULL, 0) == child)
				__atomic_add_fetch(churned, 1, __ATOMIC_RELAXED);
		}
	}
}

static void churn_stop(void)
{
	int i;

	for (i = 0; i < CHURNERS; i++) {
		kill(churners[i], SIGKILL);
		waitpid(churners[i], NULL, 0);
	}
}

static bool good(const char *text)
{
	return text && json_valid(text) && pids_ascend(text) && process_find(text, 1) &&
	       process_find(text, getpid());
}

/* However slow the machine is, it goes on until enough have come and gone: reads bound it. */
static void churning(void)
{
	unsigned long before = *churned, churn = portion(1000);
	unsigned long documents;
	bool all = true;

	for (documents = 0; *churned - before < churn && documents < 20 * churn; documents++) {
		char *text = document_read(SYSINFO);

		all = all && good(text);
		free(text);
	}
	ok(all && *churned - before >= churn, "%lu valid documents while %lu processes come and go",
	   documents, *churned - before);
}

static void chunks(void)
{
	static const size_t sizes[] = {1, 7, 4096, 1 << 20};
	size_t i;

	for (i = 0; i < 4; i++) {
		int fd = open(SYSINFO, O_RDONLY), documents;
		bool all = true;

		/* One open file: back to 0 is a fresh document each time. */
		for (documents = 0; documents < (i ? 10 : 2); documents++) {
			char *text = document_read_fd(fd, sizes[i]);

			all = all && good(text);
			free(text);
			lseek(fd, 0, SEEK_SET);
		}
		ok(all, "reads of %zu bytes: valid documents, each pid once", sizes[i]);
		close(fd);
	}
}

static long long taken(const char *text)
{
	const char *at = strstr(text, "\"taken_ns\":");

	return at ? atoll(at + 11) : -1;
}

static void anywhere(void)
{
	long long taken_ns;
	void *volatile nowhere = (void *)1; /* not for the compiler to see through */
	int fd = open(SYSINFO, O_RDONLY), i;
	char *whole = malloc(ROOM), *again = malloc(ROOM), *once = malloc(ROOM);
	ssize_t length = read(fd, whole, ROOM - 1), got;
	bool same;

	whole[length > 0 ? length : 0] = 0;
	same = good(whole);

	usleep(50000);
	/* 0 itself would be a new document, so from 1. */
	for (i = 1; i < length; i += got) {
		got = pread(fd, again, 512, i);
		same = same && got > 0 && !memcmp(again, whole + i, got);
		if (got <= 0)
			break;
	}
	ok(same, "pread forward gives the document that was read");
	for (i = length - 1; i > 0; i -= 300)
		same = same && pread(fd, again, 300, i) > 0 && *again == whole[i];
	ok(same, "pread backward too");
	srandom(1);
	for (i = portion(2000); i; i--) {
		long at = 1 + random() % (length - 1);

		got = pread(fd, again, 1 + random() % 5000, at);
		same = same && got > 0 && !memcmp(again, whole + at, got);
	}
	ok(same, "pread at random too");
	ok(!pread(fd, again, 10, length) && !pread(fd, again, 10, length + 100000),
	   "nothing beyond the end");
	/* Which ended that document: what is read now is of another moment. */
	ok(!strncmp(whole, "{\"total_ram\"", 12) && (taken_ns = taken(whole)) > 0 &&
		   pread(fd, again, 300, 1) == 300 && taken(again) > taken_ns,
	   "and a new document for who reads on");
	ok(pread(fd, again, 10, -1) < 0 && lseek(fd, -1, SEEK_SET) < 0, "nothing before the start");
	close(fd);

	fd = open(SYSINFO, O_RDONLY);
	got = read(fd, once, ROOM - 1);
	once[got > 0 ? got : 0] = 0;
	ok(got > 0 && good(once) && !read(fd, again, 1), "one read() is the whole document");
	ok(read(fd, NULL, 0) == 0, "a read of nothing");
	ok(pread(fd, nowhere, 100, 0) < 0, "a bad address is refused");
	close(fd);
	fd = open(SYSINFO, O_RDONLY);
	ok(pread(fd, again, 5, 3) == 5 && !memcmp(again, "otal_", 5), "pread as the first read");
	close(fd);
	free(whole);
	free(again);
	free(once);
}

static void write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		exit(1);
	close(fd);
}

/* The kernel's memory that this process is charged for, once it is in a cgroup of its own. */
static long long charged_kib(void)
{
	char text[4096] = "", *at;
	int fd = open("/cgroup/held/memory.stat", O_RDONLY);

	if (read(fd, text, sizeof(text) - 1) <= 0)
		exit(1);
	close(fd);
	at = strstr(text, "\nkernel ");
	return at ? atoll(at + 8) / 1024 : -1;
}

/* What files hold that are read a little, then to their ends, and kept open. */
static void held(void)
{
	static int files[FILES];
	char *text = document_read(SYSINFO), *rest = malloc(ROOM), byte;
	long long length = text ? strlen(text) : 0, before, part, whole;
	struct rlimit most = {FILES + 100, FILES + 100};
	int i, count = portion(FILES);

	setrlimit(RLIMIT_NOFILE, &most);
	write_to("/cgroup/cgroup.subtree_control", "+memory");
	mkdir("/cgroup/held", 0755);
	write_to("/cgroup/held/cgroup.procs", "0");
	for (i = 0; i < count; i++)
		files[i] = open(SYSINFO, O_RDONLY);
	before = charged_kib();
	for (i = 0; i < count; i++)
		if (read(files[i], &byte, 1) != 1)
			exit(1);
	part = charged_kib() - before;
	/* The kernel's allocator rounds up to a power of two. */
	ok(part > 0 && part < count * (2 * length + 8192) / 1024,
	   "%d files of which a byte is read hold %lld KiB, documents of %lld bytes", count, part,
	   length);
	for (i = 0; i < count; i++)
		while (read(files[i], rest, ROOM) > 0)
			;
	whole = charged_kib() - before;
	ok(whole < part / 4, "and %lld KiB when they are read to the end", whole);
	for (i = 0; i < count; i++)
		close(files[i]);
	write_to("/cgroup/cgroup.procs", "0");
	free(text);
	free(rest);
}

static void *reader(void *arg)
{
	bool *fine = arg;
	int i;

	*fine = true;
	for (i = portion(15); i; i--) {
		char *text = document_read(SYSINFO), *containers = document_read(CONTINFO);

		*fine = *fine && text && json_valid(text) && pids_ascend(text) && containers &&
			json_valid(containers);
		free(text);
		free(containers);
	}
	return NULL;
}

/* Many threads, each with its own file, and all with one. */
static int shared;

static void *sharer(void *arg)
{
	char buffer[4096];
	bool *fine = arg;
	int i;

	*fine = true;
	for (i = portion(200); i; i--)
		*fine = *fine && pread(shared, buffer, sizeof(buffer), i % 20 * 100) > 0;
	return NULL;
}

static void concurrently(void *(*body)(void *), const char *what)
{
	pthread_t threads[8];
	bool fine[8], all = true;
	int i;

	for (i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, body, &fine[i]);
	for (i = 0; i < 8; i++) {
		pthread_join(threads[i], NULL);
		all = all && fine[i];
	}
	ok(all, "%s", what);
}

/* Of this thread's CPU time: a read does not sleep, and whoever else has a turn does not count. */
static long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * 1000000000 + now.tv_nsec;
}

struct effort {
	long fresh;    /* ns of reads of files just opened, whose buffers may have to grow */
	long again;    /* ns of as many more of the same files, whose buffers are there */
	int processes; /* in a document */
};

/* What @reads reads cost at their best: other load only ever adds to it. */
static void measure(struct effort *best, int reads, bool grows)
{
	static char text[ROOM];
	ssize_t got = 0;
	const char *at;
	int i, round;

	for (round = 0; round < ROUNDS; round++) {
		long fresh = 0, again = 0;

		for (i = 0; i < reads; i++) {
			long began, between;
			int fd;

			/* Loaded anew, the module does not know how long a document is. */
			if (grows && (unload("sysinfo") || load("sysinfo", "gid=1234")))
				exit(1);
			fd = open(SYSINFO, O_RDONLY);
			began = now_ns();
			got = pread(fd, text, ROOM - 1, 0);
			between = now_ns();
			if (got <= 0 || pread(fd, text, ROOM - 1, 0) <= 0)
				return;
			again += now_ns() - between;
			fresh += between - began;
			close(fd);
		}
		best->fresh = fresh < best->fresh ? fresh : best->fresh;
		best->again = again < best->again ? again : best->again;
	}
	text[got] = 0;
	best->processes = 0;
	for (at = text; (at = strstr(at, "{\"pid\":")); at++)
		best->processes++;
}

/*
 * One walk, and the same work for each process however many there are. Times are compared with
 * times of the same run alone, and few processes are read so often that both take about as long:
 * what else the machine does then weighs on both alike. Work that grows with the square costs each
 * of the many up to thirty times as much. A walk that begins again whenever the buffer is full, at
 * 8 KiB and each doubling of it, makes a file's first read about three times its second; growing alone up to
 * twice. On a busy machine it takes some rounds more until the best is seen.
 */
static void linear(struct effort few)
{
	struct effort lot = {LONG_MAX, LONG_MAX, 0};
	double each, growing;
	int tries;

	for (tries = 0; tries < TRIES; tries++) {
		measure(&lot, 1, true);
		each = (double)lot.again * few.processes * often / few.again / lot.processes;
		growing = (double)lot.fresh / lot.again;
		if (each < 4 && growing < 2.4)
			break;
	}
	ok(lot.processes >= many_more && each < 4,
	   "of %d processes each costs %.2f times what each of %d does", lot.processes, each,
	   few.processes);
	ok(lot.processes >= many_more && growing < 2.4,
	   "a buffer that has to grow costs %.2f times one that is there", growing);
}

static void many(void)
{
	static pid_t children[MANY];
	int i, born, missing = 0;
	struct effort few = {LONG_MAX, LONG_MAX, 0};
	char *text;

	measure(&few, often, false);
	born = crowd_start(children, many_more);
	text = document_read(SYSINFO);
	for (i = 0; i < born; i++)
		missing += !text || !process_find(text, children[i]);
	ok(born == many_more && good(text) && !missing,
	   "%d processes: a valid document of %zu bytes, %d missing", born, text ? strlen(text) : 0,
	   missing);
	free(text);
	linear(few);
	/* Killed in the middle of reading: nothing hangs, nothing leaks. */
	for (i = portion(20); i; i--) {
		pid_t child = fork();

		if (!child)
			for (;;)
				free(document_read(SYSINFO));
		usleep(3000 * i);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	ok(true, "readers killed while reading are gone");
	crowd_end(children, born);
}

int main(void)
{
	struct stat st;

	many_more = portion(MANY);
	often = portion(OFTEN);
	ok(!stat(SYSINFO, &st) && (st.st_mode & 07777) == 0440 && st.st_gid == 1234,
	   "0440, its group");
	churn_start();
	chunks();
	anywhere();
	concurrently(reader, "eight readers while processes come and go");
	shared = open(SYSINFO, O_RDONLY);
	concurrently(sharer, "eight readers of one open file");
	close(shared);
	held();
	churning();
	churn_stop();
	many();
	return tap_end();
}
