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
		"gid=-1", "gid=4294967295", "gid=staff", "max_entries=-1", "max_entries=many",
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
		ok(access(SO2_DEVICE, F_OK) && access(LISTING, F_OK), "and leaves nothing");
	}
	ok(!load(MODULE, "gid=77 max_entries=2"), "a group and a bound");
	ok(!stat(LISTING, &st) && st.st_mode == (S_IFREG | 0440) && st.st_gid == 77,
	   "0440, that group");
	ok(!stat(SO2_DEVICE, &st) && st.st_mode == (S_IFCHR | 0666), "a device for everybody");
	ok(load(MODULE, "") == EEXIST, "loaded twice: EEXIST");
	door_open();
	ok(!limit_add(subjects[0].pid, MIB) && !limit_add(subjects[1].pid, MIB) &&
		   limit_add(subjects[2].pid, MIB) == -ENOMEM,
	   "the bound holds");
	leave_the_door();
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
	ok(unload(MODULE) == EWOULDBLOCK && listed_count() == SUBJECTS,
	   "in use, it does not unload");
	leave_the_door();
	fd = open(LISTING, O_RDONLY);
	held = document_read_fd(fd, 1);
	ok(held && json_valid(held), "the listing is read and held open");
	free(held);
	ok(!unload(MODULE), "unloads");
	ok(pread(fd, &status, 1, 0) < 0, "the held file then fails");
	close(fd);
	ok(access(SO2_DEVICE, F_OK) && access(LISTING, F_OK), "device and listing are gone");
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
	everybody();
	return tap_end();
}
