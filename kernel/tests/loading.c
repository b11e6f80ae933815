// SPDX-License-Identifier: GPL-2.0
/* Loading and unloading: errors are clear, nothing is left, readers are safe. */
#include <pthread.h>
#include <sys/stat.h>

#include "document.h"
#include "module.h"
#include "tap.h"

static const char *const modules[] = {"sysinfo", "continfo"};

static bool there(const char *module, const char *suffix)
{
	char path[96];

	snprintf(path, sizeof(path), "/proc/%s_so1_%s", module, suffix);
	return !access(path, F_OK);
}

static void parameters(const char *module)
{
	static const char *const bad[] = {
		"suffix=",	   "suffix=a/b",     "suffix=a.b",
		"suffix=\"a b\"",  "suffix=..",	     "suffix=123456789012345678901234567890123",
		"suffix=\xc3\xb1", "gid=4294967295", "gid=-1",
		"gid=staff",
	};
	char path[96];
	struct stat st;
	size_t i;
	int ret;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		ret = load(module, bad[i]);
		if (!ret)
			unload(module);
		/* A number that does not fit is the kernel's own complaint. */
		ok(ret == EINVAL || (ret == ERANGE && !strncmp(bad[i], "gid", 3)),
		   "%s %s is refused (%s)", module, bad[i], strerror(ret));
	}
	ok(!there(module, "202300539"), "%s refused leaves no file", module);
	ok(!load(module, "suffix=A-z_09 gid=77"), "%s takes a suffix and a group", module);
	snprintf(path, sizeof(path), "/proc/%s_so1_A-z_09", module);
	ok(!stat(path, &st) && (st.st_mode & 07777) == 0440 && st.st_uid == 0 && st.st_gid == 77,
	   "%s: 0440, root, the group", module);
	ok(open(path, O_WRONLY) < 0 || write(open(path, O_WRONLY), "x", 1) < 0,
	   "%s cannot be written", module);
	ok(load(module, "") == EEXIST, "%s twice is EEXIST", module);
	ok(!unload(module) && !there(module, "A-z_09"), "%s unloads, its file is gone", module);
}

static volatile bool stop;
static long documents, broken;

/* Reads all it can, whether the module is there or not. */
static void *reader(void *arg)
{
	const char *path = arg;
	char *text;
	int fd;

	while (!stop) {
		fd = open(path, O_RDONLY);
		if (fd < 0)
			continue;
		/* NULL: the module went between the open and the read. */
		text = document_read_fd(fd, 4096);
		if (text) {
			/* Cut off in the middle is the one thing else that may be. */
			__atomic_add_fetch(&documents, 1, __ATOMIC_RELAXED);
			if (text[strlen(text) - 1] == '\n' && !json_valid(text))
				__atomic_add_fetch(&broken, 1, __ATOMIC_RELAXED);
		}
		free(text);
		close(fd);
	}
	return NULL;
}

static void unload_while_read(const char *module)
{
	char path[64], byte;
	pthread_t threads[4];
	int i, fd, failed = 0, rounds = portion(30);

	snprintf(path, sizeof(path), "/proc/%s_so1_202300539", module);
	ok(!load(module, ""), "%s loads without parameters", module);
	fd = open(path, O_RDONLY);
	ok(read(fd, &byte, 1) == 1, "%s is read a little and held open", module);
	ok(!unload(module), "%s unloads while it is held open", module);
	ok(read(fd, &byte, 1) < 0, "the held file of %s then fails", module);
	close(fd);

	stop = false;
	documents = broken = 0;
	for (i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, reader, path);
	for (i = 0; i < rounds; i++) {
		failed += !!load(module, "");
		usleep(20000);
		failed += !!unload(module);
	}
	stop = true;
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	ok(!failed, "%s comes and goes %d times under readers", module, rounds);
	ok(documents > 0 && !broken, "%s: %ld documents read meanwhile, %ld broken", module,
	   documents, broken);
	ok(!there(module, "202300539"), "%s leaves no file", module);
}

int main(void)
{
	size_t i;

	for (i = 0; i < 2; i++) {
		parameters(modules[i]);
		unload_while_read(modules[i]);
	}
	return tap_end();
}
