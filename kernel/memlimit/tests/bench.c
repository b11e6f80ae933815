// SPDX-License-Identifier: GPL-2.0
/*
 * What the limiter costs. First an mmap/munmap pair and a page fault, in a
 * process without the module, one that is not limited and one that is; the
 * three take turns, so that what else the machine does falls on all of them.
 * Then add, remove and get against the length of the list.
 */
#include <time.h>

#include "crowd.h"
#include "door.h"
#include "module.h"
#include "subject.h"
#include "tap.h"

#define MODULE	"so2_memlimit"
#define ROUNDS	99
#define PAIRS	500
#define PAGES	256
#define LONGEST 10000

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

/* ns for each. */
struct figures {
	double pair, fault;
};

static struct figures measure(void)
{
	struct figures figures;
	char *memory;
	double start;
	int i;

	start = now();
	for (i = 0; i < PAIRS; i++)
		munmap(take(65536), 65536);
	figures.pair = (now() - start) / PAIRS;
	memory = take(PAGES * 4096);
	madvise(memory, PAGES * 4096, MADV_NOHUGEPAGE);
	start = now();
	for (i = 0; i < PAGES; i++)
		memory[i * 4096] = 1;
	figures.fault = (now() - start) / PAGES;
	munmap(memory, PAGES * 4096);
	return figures;
}

static int ask[2], answer[2];

static int measures_when_asked(void)
{
	struct figures figures;
	char word;

	while (read(ask[0], &word, 1) == 1) {
		figures = measure();
		if (write(answer[1], &figures, sizeof(figures)) != sizeof(figures))
			return 1;
	}
	return 0;
}

static struct figures measured(void)
{
	struct figures figures;

	if (write(ask[1], "", 1) != 1 ||
	    read(answer[0], &figures, sizeof(figures)) != sizeof(figures))
		exit(1);
	return figures;
}

static int ascending(const void *a, const void *b)
{
	return *(const double *)a < *(const double *)b ? -1
						       : *(const double *)a > *(const double *)b;
}

/* How @a compares with @b, round by round: the middle, and where half of the rounds are. */
static void compare(const char *what, const double a[ROUNDS], const double b[ROUNDS])
{
	double ratios[ROUNDS];
	int i;

	for (i = 0; i < ROUNDS; i++)
		ratios[i] = a[i] / b[i];
	qsort(ratios, ROUNDS, sizeof(*ratios), ascending);
	printf("# %-44s %.3f (%.3f to %.3f)\n", what, ratios[ROUNDS / 2], ratios[ROUNDS / 4],
	       ratios[ROUNDS * 3 / 4]);
}

static double middle(const double figures[ROUNDS])
{
	double sorted[ROUNDS];

	memcpy(sorted, figures, sizeof(sorted));
	qsort(sorted, ROUNDS, sizeof(*sorted), ascending);
	return sorted[ROUNDS / 2];
}

enum condition { WITHOUT, UNLIMITED, LIMITED, CONDITIONS };

static void requests(bool has_module)
{
	static double pair[CONDITIONS][ROUNDS], fault[CONDITIONS][ROUNDS];
	struct subject subject;
	struct figures figures;
	int round, turn, failed = 0;

	if (pipe(ask) || pipe(answer))
		exit(1);
	subject = subject_start(measures_when_asked);
	if (write(subject.go, "", 1) != 1)
		exit(1);
	measured(); /* warm */
	for (round = 0; round < ROUNDS; round++)
		for (turn = 0; turn < CONDITIONS; turn++) {
			enum condition condition = (round + turn) % CONDITIONS;

			if (condition == WITHOUT && !has_module)
				continue;
			if (condition != WITHOUT && has_module) {
				failed += !!load(MODULE, "");
				door_open();
			}
			/* One other process is always listed. */
			if (condition != WITHOUT)
				failed += !!limit_add(getpid(), UINT64_MAX);
			if (condition == LIMITED)
				failed += !!limit_add(subject.pid, 8192 * MIB);
			figures = measured();
			pair[condition][round] = figures.pair;
			fault[condition][round] = figures.fault;
			if (condition == LIMITED)
				failed += !!limit_remove(subject.pid);
			if (condition != WITHOUT)
				failed += !!limit_remove(getpid());
			if (condition != WITHOUT && has_module) {
				close(door);
				door = -1;
				failed += !!unload(MODULE);
			}
		}
	ok(!failed, "%d rounds of %d mmap/munmap pairs and %d page faults", ROUNDS, PAIRS, PAGES);
	printf("# not limited: %.0f ns a pair, %.0f ns a fault\n", middle(pair[UNLIMITED]),
	       middle(fault[UNLIMITED]));
	printf("# ratio: the middle (where half of the rounds are)\n");
	compare("pair, limited to not limited", pair[LIMITED], pair[UNLIMITED]);
	compare("fault, limited to not limited", fault[LIMITED], fault[UNLIMITED]);
	if (has_module) {
		compare("pair, not limited to without the module", pair[UNLIMITED], pair[WITHOUT]);
		compare("fault, not limited to without the module", fault[UNLIMITED],
			fault[WITHOUT]);
	}
	subject_dismiss(subject);
}

static pid_t pids[LONGEST + 100];
static struct memory_limitation list[LONGEST];

/* Of adding and removing a hundred more, with @length listed; ns for one. */
static double length_cost(int length)
{
	double start, add, removal, one, all;
	int i, count, failed = 0;

	start = now();
	for (i = LONGEST; i < LONGEST + 100; i++)
		failed += !!limit_add(pids[i], 8192 * MIB);
	add = (now() - start) / 100;
	start = now();
	for (i = LONGEST; i < LONGEST + 100; i++)
		failed += !!limit_remove(pids[i]);
	removal = (now() - start) / 100;
	start = now();
	for (i = 0; i < 100; i++)
		failed += !!limit_get(list, 1, &count);
	one = (now() - start) / 100;
	start = now();
	failed += !!limit_get(list, LONGEST, &count);
	all = now() - start;
	ok(!failed && count == length,
	   "%5d listed: add %.0f ns, remove %.0f ns, get one %.0f ns, get all %.0f ns", length, add,
	   removal, one, all);
	return add + removal;
}

static void lengths(void)
{
	static const int at[] = {1, 10, 100, 1000, LONGEST};
	int born = crowd_start(pids, LONGEST + 100), i, listed = 0;
	double first = 0, last = 0;

	for (i = 0; i < 5 && born == LONGEST + 100; i++) {
		for (; listed < at[i]; listed++)
			limit_add(pids[listed], 8192 * MIB);
		last = length_cost(listed);
		first = first ? first : last;
	}
	/* A scan would cost thousands of times as much. */
	ok(last && last < 20 * first,
	   "add and remove do not scan the list: %.1f times for %d times the length", last / first,
	   LONGEST);
	crowd_end(pids, born);
}

int main(void)
{
	bool has_module = syscall(SO2_NR_ADD, 0, 0) && errno == ENOSYS;

	requests(has_module);
	if (has_module && load(MODULE, ""))
		return 2;
	door_open();
	lengths();
	close(door);
	if (has_module)
		ok(!unload(MODULE), "unloads");
	return tap_end();
}
