// SPDX-License-Identifier: GPL-2.0
/* Who may do what: CAP_SYS_ADMIN in the initial user namespace, and reading for everybody. */
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>

#include "door.h"
#include "subject.h"
#include "tap.h"

#define NOBODY 65534

static pid_t listed;

/* Neither a good nor a bad argument is looked at. */
static int may_not_change(void)
{
	static const pid_t pids[] = {0, -1, 1, 2, INT_MAX};
	struct memory_limitation one;
	void *volatile nowhere = (void *)8;
	int count = 0;
	size_t i;

	for (i = 0; i < sizeof(pids) / sizeof(*pids); i++)
		if (limit_add(pids[i], MIB) != -EPERM || limit_add(pids[i], 0) != -EPERM ||
		    limit_update(pids[i], MIB) != -EPERM || limit_update(pids[i], 0) != -EPERM ||
		    limit_remove(pids[i]) != -EPERM)
			return 1;
	if (limit_add(getpid(), MIB) != -EPERM || limit_add(listed, MIB) != -EPERM ||
	    limit_remove(listed) != -EPERM)
		return 2;
	if (door_is_file() && (!ioctl(door, SO2_IOC_ADD, nowhere) || errno != EPERM ||
			       !ioctl(door, SO2_IOC_UPDATE, nowhere) || errno != EPERM ||
			       !ioctl(door, SO2_IOC_REMOVE, nowhere) || errno != EPERM))
		return 3;
	if (limit_get(&one, 1, &count) || count != 1 || one.pid != listed)
		return 4;
	if (limit_get(NULL, 1, &count) != -EINVAL || limit_get(&one, 0, &count) != -EINVAL)
		return 5;
	return 0;
}

static bool drop_to_nobody(void)
{
	return !setresgid(NOBODY, NOBODY, NOBODY) && !setresuid(NOBODY, NOBODY, NOBODY);
}

static int nobody(void)
{
	if (!drop_to_nobody())
		return 10;
	/* The door opens for nobody too. */
	if (door_is_file()) {
		close(door);
		door_open();
	}
	return may_not_change();
}

static bool capabilities(unsigned int low)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {{low, low, 0}, {0, 0, 0}};

	return !syscall(SYS_capset, &header, data);
}

static int root_without_capability(void)
{
	return capabilities(~(1u << CAP_SYS_ADMIN)) ? may_not_change() : 10;
}

static int nobody_with_capability(void)
{
	if (prctl(PR_SET_KEEPCAPS, 1) || !drop_to_nobody() || !capabilities(1u << CAP_SYS_ADMIN))
		return 10;
	return limit_update(listed, 7000 * MIB) || listed_limit(listed) != 7000 * MIB;
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return done;
}

static int namespace_root(void)
{
	if (unshare(CLONE_NEWUSER) || !write_file("/proc/self/uid_map", "0 0 1") || getuid())
		return 10;
	return may_not_change();
}

/* It owns a pid namespace as well, so the process is its own in every way. */
static int namespace_root_over_its_own(void)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWPID) || !write_file("/proc/self/uid_map", "0 0 1"))
		return 10;
	return subject_finish(subject_start(may_not_change)) == 4 << 8 ? 0 : 1;
}

int main(void)
{
	struct subject subject;

	door_open();
	subject = subject_start(subject_idle);
	listed = subject.pid;
	ok(!limit_add(listed, 5000 * MIB), "root adds");
	ok(!subject_finish(subject_start(nobody)), "nobody reads and changes nothing: EPERM first");
	ok(!subject_finish(subject_start(root_without_capability)),
	   "nor does root without CAP_SYS_ADMIN");
	ok(!subject_finish(subject_start(namespace_root)), "nor does root of a user namespace");
	ok(!subject_finish(subject_start(namespace_root_over_its_own)),
	   "nor does it in a pid namespace of its own, where the list shows it nothing");
	ok(listed_limit(listed) == 5000 * MIB && listed_count() == 1, "the list is as it was");
	ok(!subject_finish(subject_start(nobody_with_capability)),
	   "nobody with CAP_SYS_ADMIN updates");
	ok(!limit_remove(listed), "root removes");
	subject_dismiss(subject);
	return tap_end();
}
