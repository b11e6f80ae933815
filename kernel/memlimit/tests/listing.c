// SPDX-License-Identifier: GPL-2.0
/* /proc/so2_memory_limits: who may read it, and that what it says is so. */
#include <grp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>

#include "document.h"
#include "door.h"
#include "subject.h"
#include "tap.h"

#define LISTING "/proc/so2_memory_limits"
#define GROUP	1234
#define NOBODY	65534

static char *text;

static bool listing(void)
{
	free(text);
	text = document_read(LISTING);
	return text && json_valid(text);
}

/* process_field() is signed. */
static uint64_t listing_field(pid_t pid, const char *key)
{
	const char *at = process_find(text, pid);
	char quoted[32];

	snprintf(quoted, sizeof(quoted), "\"%s\":", key);
	at = at ? strstr(at, quoted) : NULL;
	return at ? strtoull(at + strlen(quoted), NULL, 10) : 0;
}

static int reads(void)
{
	return !listing();
}

static int nobody_reads(void)
{
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		return 10;
	return reads();
}

static int group_reads(void)
{
	if (setgroups(0, NULL) || setresgid(GROUP, GROUP, GROUP) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		return 10;
	return reads();
}

static void access_to_it(void)
{
	struct stat st;
	int fd;

	ok(!stat(LISTING, &st) && st.st_mode == (S_IFREG | 0440) && st.st_uid == 0 &&
		   st.st_gid == GROUP,
	   "0440, root, its group");
	ok(listing() && !strcmp(text, "[]\n"), "empty, it is an empty array");
	ok(!subject_finish(subject_start(group_reads)), "a member of the group reads it");
	ok(subject_finish(subject_start(nobody_reads)) == 1 << 8, "nobody does not");
	fd = open(LISTING, O_WRONLY);
	ok(fd < 0 || write(fd, "[]", 2) < 0, "nothing writes it");
	close(fd);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

static pid_t subject_pid;

static int nobody_updates(void)
{
	return setreuid(NOBODY, -1) || limit_update(subject_pid, 6000 * MIB);
}

static void values(void)
{
	struct subject subject = subject_start(subject_idle), second = subject_start(subject_idle);
	uint64_t before, after, set_at;

	subject_pid = subject.pid;
	before = now_ms();
	limit_add(subject.pid, UINT64_MAX);
	after = now_ms();
	ok(listing() && process_find(text, subject.pid), "it is listed by its pid");
	ok(listing_field(subject.pid, "limit") == UINT64_MAX, "limit: the largest there is");
	limit_update(subject.pid, 123456789012345677);
	listing();
	ok(listing_field(subject.pid, "limit") == 123456789012345677, "limit: to the byte");
	ok(listing_field(subject.pid, "size") == size_of(subject.pid),
	   "size: %llu bytes, as in statm", size_of(subject.pid));
	ok(listing_field(subject.pid, "soft_limit") == 123456789012345677 &&
		   listing_field(subject.pid, "hard_limit") == 123456789012345677,
	   "soft_limit and hard_limit: in effect");
	set_at = listing_field(subject.pid, "set_at");
	ok(set_at >= before && set_at <= now_ms(), "set_at: now");
	ok(strstr(text, "\"set_by\":0}"), "set_by: root");
	ok(strstr(text, "\"name\":\"a\\\"b\\\\\\\\\\\\xff\""), "name: escaped");

	usleep(20000);
	before = now_ms();
	ok(!subject_finish(subject_start(nobody_updates)), "another user updates");
	listing();
	set_at = listing_field(subject.pid, "set_at");
	ok(set_at >= before && set_at > after && listing_field(subject.pid, "set_by") == NOBODY &&
		   listing_field(subject.pid, "limit") == 6000 * MIB,
	   "which is when and by whom it was set");

	limit_add(second.pid, MIB);
	ok(listing() && process_find(text, subject.pid) < process_find(text, second.pid),
	   "the oldest first");
	subject_dismiss(subject);
	ok(listing() && !process_find(text, subject.pid) && process_find(text, second.pid),
	   "one that exits is not there");
	limit_remove(second.pid);
	ok(listing() && !strcmp(text, "[]\n"), "nor one that is removed");
	subject_dismiss(second);
}

/* Somebody with CAP_SYS_RESOURCE lifted it, or has more or less of their own: it shows. */
static void in_effect(void)
{
	struct rlimit lifted = {RLIM_INFINITY, RLIM_INFINITY}, own = {100 * MIB, 300 * MIB};
	struct subject subject = subject_start(subject_idle);

	limit_add(subject.pid, 500 * MIB);
	prlimit(subject.pid, RLIMIT_AS, &lifted, NULL);
	ok(listing() && listing_field(subject.pid, "limit") == 500 * MIB &&
		   listing_field(subject.pid, "soft_limit") == UINT64_MAX &&
		   listing_field(subject.pid, "hard_limit") == UINT64_MAX,
	   "a limit that was lifted shows");
	prlimit(subject.pid, RLIMIT_AS, &own, NULL);
	ok(listing() && listing_field(subject.pid, "soft_limit") == 100 * MIB &&
		   listing_field(subject.pid, "hard_limit") == 300 * MIB,
	   "and so does a smaller one");
	subject_dismiss(subject);
}

static int ready[2];

static int grows_and_shrinks(void)
{
	munmap(take(400 * MIB), 400 * MIB);
	if (write(ready[1], "", 1) == 1)
		pause();
	return 0;
}

static void peak(void)
{
	struct subject subject;
	unsigned long long size;
	char word;

	if (pipe(ready))
		exit(1);
	subject = subject_start(grows_and_shrinks);
	limit_add(subject.pid, 5000 * MIB);
	size = size_of(subject.pid);
	ok(listing() && listing_field(subject.pid, "peak_size") >= size &&
		   listing_field(subject.pid, "peak_size") < size + 300 * MIB,
	   "peak_size of one that has not grown");
	if (write(subject.go, "", 1) != 1 || read(ready[0], &word, 1) != 1)
		exit(1);
	ok(listing() && listing_field(subject.pid, "size") < size + 100 * MIB &&
		   listing_field(subject.pid, "peak_size") >= size + 400 * MIB,
	   "and of one that has");
	subject_dismiss(subject);
}

static void *stays(void *unused)
{
	usleep(50000);
	if (write(ready[1], "", 1) == 1)
		pause();
	return unused;
}

static int without_the_first_thread(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, stays, NULL);
	pthread_exit(NULL);
}

static void first_thread_gone(void)
{
	struct subject subject;
	char word;

	if (pipe(ready))
		exit(1);
	subject = subject_start(without_the_first_thread);
	if (write(subject.go, "", 1) != 1 || read(ready[0], &word, 1) != 1)
		exit(1);
	limit_add(subject.pid, 5000 * MIB);
	ok(listing() && listing_field(subject.pid, "size") > MIB,
	   "a process without its first thread has a size");
	subject_dismiss(subject);
}

int main(void)
{
	door_open();
	prctl(PR_SET_NAME, "a\"b\\\xff");
	access_to_it();
	values();
	in_effect();
	peak();
	first_thread_gone();
	return tap_end();
}
