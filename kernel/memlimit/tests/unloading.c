// SPDX-License-Identifier: GPL-2.0
/* The module comes and goes: everybody has their own limits back, nothing is left. */
#include <sys/stat.h>

#include "document.h"
#include "door.h"
#include "module.h"
#include "subject.h"
#include "tap.h"

#define MODULE	 "so2_memlimit"
#define LISTING	 "/proc/so2_memory_limits"
#define SUBJECTS 40

static struct subject subjects[SUBJECTS];

static int takes(void)
{
	void *memory = take(512 * MIB);

	return memory == MAP_FAILED;
}

static void leave_the_door(void)
{
	close(door);
	door = -1;
}

static void parameters(void)
{
	static const char *const bad[] = {
		"gid=-1",	    "gid=4294967295",	 "gid=staff",		"max_entries=-1",
		"max_entries=many", "max_entries=32769", "max_entries=4194304",
	};
	struct stat st;
	size_t i;
	int ret;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		ret = load(MODULE, bad[i]);
		if (!ret)
			unload(MODULE);
		/* A number that does not fit is the kernel's own complaint. */
		ok(ret == EINVAL || ret == ERANGE, "%s is refused (%s)", bad[i], strerror(ret));
		ok(access(SO2_DOOR, F_OK) && access(LISTING, F_OK), "and leaves nothing");
	}
	ok(!load(MODULE, "max_entries=32768") && !unload(MODULE), "the largest bound");
	ok(!load(MODULE, "gid=77 max_entries=2"), "a group and a bound");
	ok(!stat(LISTING, &st) && st.st_mode == (S_IFREG | 0440) && st.st_gid == 77,
	   "0440, that group");
	ok(!stat(SO2_DOOR, &st) && st.st_mode == (S_IFREG | 0666), "a door for everybody");
	ok(load(MODULE, "") == EEXIST, "loaded twice: EEXIST");
	door_open();
	ok(!limit_add(subjects[0].pid, MIB) && !limit_add(subjects[1].pid, MIB) &&
		   limit_add(subjects[2].pid, MIB) == -ENOMEM,
	   "the bound holds");
	leave_the_door();
	ok(!unload(MODULE), "unloads");
}

#define NOBODY 65534

static int ready[2], proceed[2];

/* Has the door open all the time; an exit status of 0: it leads nowhere in the end. */
static int holds_the_door(void)
{
	int fd, count;
	char word;
	struct memory_limitation one;
	struct so2_get get = {(uintptr_t)&one, 1, (uintptr_t)&count};

	if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
		return 1;
	fd = open(SO2_DOOR, O_RDWR);
	if (fd < 0 || ioctl(fd, SO2_IOC_GET, &get) || count != 1)
		return 2;
	if (write(ready[1], "", 1) != 1 || read(proceed[0], &word, 1) != 1)
		return 3;
	/* The module is there again; what was opened before is not. */
	return !ioctl(fd, SO2_IOC_GET, &get) || errno != ENOTTY ? 4 : 0;
}

/* Root unloads, whoever has the door open. */
static void held_by_nobody(void)
{
	struct subject holder;
	char word;

	if (pipe(ready) || pipe(proceed))
		exit(1);
	ok(!load(MODULE, ""), "loads without parameters");
	holder = subject_start(holds_the_door);
	door_open();
	limit_add(subjects[0].pid, MIB);
	if (write(holder.go, "", 1) != 1 || read(ready[0], &word, 1) != 1)
		exit(1);
	ok(!unload(MODULE), "nobody has the door open, and so has root: it unloads");
	ok(has_limits(subjects[0].pid, RLIM_INFINITY, RLIM_INFINITY), "and gives back");
	ok(limit_add(subjects[0].pid, MIB) == -ENOTTY, "root's open door leads nowhere");
	leave_the_door();
	ok(!load(MODULE, ""), "loads again");
	if (write(proceed[1], "", 1) != 1)
		exit(1);
	ok(!subject_wait(holder), "nor does nobody's, to the module that is there again");
	ok(!unload(MODULE), "unloads");
}

static void everybody(void)
{
	char *held;
	int i, fd, failed = 0, status;

	ok(!load(MODULE, ""), "loads without parameters");
	door_open();
	ok(listed_count() == 0, "the list is empty");
	for (i = 0; i < SUBJECTS; i++) {
		struct rlimit own = {(1000 + i) * MIB, i % 2 ? RLIM_INFINITY : (9000 + i) * MIB};

		prlimit(subjects[i].pid, RLIMIT_AS, &own, NULL);
		failed += !!limit_add(subjects[i].pid, (1 + i) * MIB);
		failed += !has_limits(subjects[i].pid, (1 + i) * MIB, (1 + i) * MIB);
	}
	ok(!failed, "%d processes are limited", SUBJECTS);
	ok(listed_count() == SUBJECTS, "and listed");
	leave_the_door();
	fd = open(LISTING, O_RDONLY);
	held = document_read_fd(fd, 1);
	ok(held && json_valid(held), "the listing is read and held open");
	free(held);
	ok(!unload(MODULE), "unloads");
	ok(pread(fd, &status, 1, 0) < 0, "the held file then fails");
	close(fd);
	ok(access(SO2_DOOR, F_OK) && access(LISTING, F_OK), "door and listing are gone");
	for (i = 0; i < SUBJECTS; i++)
		failed += !has_limits(subjects[i].pid, (1000 + i) * MIB,
				      i % 2 ? RLIM_INFINITY : (9000 + i) * MIB);
	ok(!failed, "everybody has what they had");
	ok(!load(MODULE, ""), "loads again");
	door_open();
	ok(listed_count() == 0, "the list is empty");
	for (i = 0; i < SUBJECTS; i++)
		failed += !!limit_add(subjects[i].pid, (1 + i) * MIB);
	leave_the_door();
	ok(!failed && !unload(MODULE), "limits them again, unloads again");
	for (i = 0; i < SUBJECTS; i++)
		failed += !!subject_finish(subjects[i]);
	ok(!failed, "and each takes as much as before");
}

int main(void)
{
	int i;

	for (i = 0; i < SUBJECTS; i++)
		subjects[i] = subject_start(takes);
	parameters();
	held_by_nobody();
	everybody();
	return tap_end();
}
