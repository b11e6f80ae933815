// SPDX-License-Identifier: GPL-2.0
/*
 * many COUNT: so many entries (at most 32768), a thousand who list them all the time, and the bound
 * on how many there may be.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "crowd.h"
#include "document.h"
#include "door.h"
#include "subject.h"
#include "tap.h"

#define MOST	32768
#define GETTERS 1000
#define LOOKS	200
#define LISTING "/proc/so2_memory_limits"
#define BOUND	"/sys/module/so2_memlimit/parameters/max_entries"

static pid_t pids[MOST];
static struct memory_limitation list[MOST + 1];

static bool listed_in_order(int first, int count)
{
	int returned, i;

	if (limit_get(list, MOST + 1, &returned) || returned != count)
		return false;
	for (i = 0; i < count; i++)
		if (list[i].pid != pids[first + i] ||
		    list[i].memory_limit != 3000 * MIB + first + i)
			return false;
	return true;
}

static bool set_bound(const char *value)
{
	int fd = open(BOUND, O_WRONLY);
	bool done = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);

	close(fd);
	return done;
}

static atomic_bool stop;
static atomic_long gets;

/* All write to one buffer that nobody reads. */
static void *getter(void *unused)
{
	static struct memory_limitation all[MOST];
	int returned;

	while (!stop)
		gets += !limit_get(all, MOST, &returned);
	return unused;
}

/*
 * Of this thread's CPU time: neither an update nor a list that nobody else reads sleeps, so what they
 * wait for they spin for. A turn that another thread has meanwhile does not count.
 */
static double milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static int ascending(const void *a, const void *b)
{
	return *(const double *)a < *(const double *)b ? -1
						       : *(const double *)a > *(const double *)b;
}

/* The least that the clock can tell, ms: a debug kernel's may have ticks only. */
static double grain(void)
{
	double start = milliseconds(), now;

	do
		now = milliseconds();
	while (now == start);
	return now - start;
}

static void update(pid_t pid)
{
	if (limit_update(pid, 3000 * MIB))
		exit(1);
}

static void whole_list(pid_t unused)
{
	int returned;

	(void)unused;
	if (limit_get(list, MOST, &returned))
		exit(1);
}

/* What this takes in the middle, ms. */
static double takes(const char *what, void (*this)(pid_t pid), pid_t pid, int looks)
{
	double took[LOOKS];
	int i;

	for (i = 0; i < looks; i++) {
		double start;

		usleep(2000); /* let the others have a turn */
		start = milliseconds();
		this(pid);
		took[i] = milliseconds() - start;
	}
	qsort(took, looks, sizeof(*took), ascending);
	printf("# %s: %.3f ms, nine of ten %.3f, at most %.3f\n", what, took[looks / 2],
	       took[looks * 9 / 10], took[looks - 1]);
	return took[looks / 2];
}

/* Who lists waits for others who do; who changes something waits for one of them at most. */
static void listed_all_the_time(pid_t pid)
{
	static pthread_t threads[GETTERS];
	pthread_attr_t small;
	double alone, among, walk;
	long before;
	int i, count, getters = portion(GETTERS), looks = portion(LOOKS);

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 16384);
	walk = takes("a list", whole_list, pid, looks / 10);
	alone = takes("an update", update, pid, looks);
	for (count = 0; count < getters; count++)
		if (pthread_create(&threads[count], &small, getter, NULL))
			break;
	while (!gets)
		usleep(1000);
	before = gets;
	among = takes("an update among those who list", update, pid, looks);
	before = gets - before;
	stop = true;
	for (i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	ok(count == getters && among < alone + 2 * (walk + grain()),
	   "an update takes %.3f ms, and %.3f among %d who list (%ld times meanwhile, each %.3f)",
	   alone, among, count, before, walk);
}

static void many(int count)
{
	int born = crowd_start(pids, count), i, failed = 0, objects = 0, returned;
	const char *at;
	char *text;

	ok(born == count, "%d processes", born);
	ok(set_bound("32768"), "the bound is the largest");
	for (i = 0; i < born; i++)
		failed += !!limit_add(pids[i], 3000 * MIB + i);
	ok(!failed && listed_in_order(0, count), "%d entries, the oldest first", born);
	ok(!limit_get(list, count - 1, &returned) && returned == count - 1,
	   "a buffer for one less gets so many");
	text = document_read(LISTING);
	for (at = text; at && (at = strstr(at, "{\"pid\":")); at++)
		objects++;
	ok(text && json_valid(text) && objects == count, "as JSON too: %d objects, %zu bytes",
	   objects, text ? strlen(text) : 0);
	free(text);
	listed_all_the_time(pids[0]);
	for (i = 0; i < born / 2; i++)
		failed += !!limit_remove(pids[i]);
	ok(!failed && listed_in_order(born / 2, born / 2), "half of them removed");
	crowd_end(pids, born);
	ok(listed_count() == 0, "all of them gone, the list is empty");
}

static void bound(void)
{
	static const char *const bad[] = {"-1", "many", "32769", "4294967296"};
	struct subject subjects[6];
	int i, added = 0;
	size_t each;

	for (i = 0; i < 6; i++)
		subjects[i] = subject_start(subject_idle);
	ok(set_bound("5"), "the bound is 5");
	for (i = 0; i < 5; i++)
		added += !limit_add(subjects[i].pid, 5000 * MIB);
	ok(added == 5 && limit_add(subjects[5].pid, 5000 * MIB) == -ENOMEM, "the sixth: ENOMEM");
	ok(has_limits(subjects[5].pid, RLIM_INFINITY, RLIM_INFINITY), "and it is not limited");
	ok(limit_add(subjects[0].pid, 5000 * MIB) == -SO2_ELISTED, "one that is listed: listed");
	ok(limit_add(subjects[5].pid, 0) == -EINVAL, "limit 0: EINVAL");
	ok(set_bound("1") && listed_count() == 5, "a lower bound takes nobody off the list");
	ok(!limit_update(subjects[4].pid, MIB), "and they can be updated");
	ok(!limit_remove(subjects[4].pid) && limit_add(subjects[4].pid, MIB) == -ENOMEM,
	   "and removed, but not added again");
	ok(set_bound("0") && limit_add(subjects[5].pid, MIB) == -ENOMEM, "a bound of 0: ENOMEM");
	for (each = 0; each < sizeof(bad) / sizeof(*bad); each++)
		ok(!set_bound(bad[each]), "a bound of %s is refused", bad[each]);
	ok(set_bound("16384") && !limit_add(subjects[5].pid, MIB), "a higher one lets more in");
	for (i = 0; i < 6; i++)
		subject_dismiss(subjects[i]);
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 0;

	if (count < 2 || count > MOST)
		return 2;
	door_open();
	many(count);
	bound();
	ok(listed_count() == 0, "the list is empty in the end");
	return tap_end();
}
