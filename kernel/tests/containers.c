// SPDX-License-Identifier: GPL-2.0
/* Which processes are in which container, by the cgroups that runtimes make. */
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "document.h"
#include "tap.h"

#define A     "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define B     "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define SHORT "0123456789abcdef"
#define UPPER "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef"

/* Makes /cgroup/@path with its parents and moves a new process there. */
static pid_t start_in(const char *path, int unshared)
{
	char full[1024], *slash, text[16];
	int fd, length, ready[2];
	pid_t child;

	snprintf(full, sizeof(full), "/cgroup/%s/", path);
	for (slash = strchr(full + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		mkdir(full, 0755);
		*slash = '/';
	}
	strncat(full, "cgroup.procs", sizeof(full) - strlen(full) - 1);
	if (pipe(ready))
		exit(1);
	child = fork();
	if (!child) {
		if ((unshared && unshare(unshared)) || write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	fd = open(full, O_WRONLY);
	length = snprintf(text, sizeof(text), "%d", child);
	if (read(ready[0], text + 12, 1) != 1 || write(fd, text, length) != length) {
		printf("Bail out! cannot move a process to %s\n", full);
		exit(1);
	}
	close(fd);
	close(ready[0]);
	close(ready[1]);
	return child;
}

static void end(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* @id: what continfo must say, NULL where the process must not be in it. */
static void expect(pid_t child, const char *path, const char *id)
{
	char *text = document_read(CONTINFO);
	const char *process = text ? process_find(text, child) : NULL, *at, *stop;
	bool fine = text && json_valid(text);

	if (id) {
		at = process ? strstr(process, "\"container_id\":\"") : NULL;
		stop = process ? strchr(process, '}') : NULL;
		fine = fine && at && at < stop && !strncmp(at + 16, id, 64) && at[16 + 64] == '"' &&
		       !strncmp(at + 16 + 65, "}", 1) && process_field(process, "state") < 0 &&
		       process_field(process, "start_ns") > 0;
	} else {
		fine = fine && !process;
	}
	ok(fine, "%s: %s", path, id ? "in its container" : "in none");
	free(text);
}

static void try(const char *path, const char *id)
{
	pid_t child = start_in(path, 0);

	expect(child, path, id);
	end(child);
}

int main(void)
{
	char *text = document_read(CONTINFO);
	pid_t child, other;

	ok(text && !strcmp(text, "[]\n"), "without containers: an empty list");
	free(text);

	try("system.slice/docker-" A ".scope", A);
	try("machine.slice/libpod-" A ".scope", A);
	try("machine.slice/libpod-" A ".scope/container", A);
	try("kubepods.slice/kubepods-pod1.slice/cri-containerd-" A ".scope", A);
	try("kubepods.slice/crio-" A ".scope", A);
	try("default/nerdctl-" A ".scope", A);
	try("docker/" A, A);
	try("docker/" A "/init.scope/deep", A);
	/* Docker in Docker: the host's container, the outer one, is the answer. */
	try("system.slice/docker-" A ".scope/docker/" B, A);
	try("system.slice/docker-" A ".scope/system.slice/x.service", A);

	try("user.slice/user-1000.slice/user@1000.service/docker-" A ".scope", NULL);
	try("user.slice/user-1000.slice/user@1000.service/docker/" A, NULL);
	try("system.slice/x.service/" A, NULL);
	try("system.slice/run-x.scope/docker-" A ".scope", NULL);
	try("machine.slice/libpod-conmon-" A ".scope", NULL);
	try("system.slice/docker-" SHORT ".scope", NULL);
	try("system.slice/docker-" UPPER ".scope", NULL);
	try("system.slice/docker-" A "0.scope", NULL);
	try("system.slice/evil-docker-" A ".scope", NULL);
	try("system.slice/docker-" A ".service", NULL);
	try("system.slice/docker-" A, NULL);
	try("docker/" A "0", NULL);
	try("system.slice/systemd-logind.service", NULL);
	try(".scope/" A, NULL);

	child = start_in("system.slice/systemd-udevd.service", CLONE_NEWUTS);
	expect(child, "a service with its own UTS namespace", NULL);
	end(child);
	child = start_in("system.slice/docker-" A ".scope", 0);
	expect(child, "a container with the host's UTS and pid namespaces", A);
	other = start_in("system.slice/docker-" B ".scope", CLONE_NEWUTS | CLONE_NEWPID);
	expect(other, "a container beside it", B);
	expect(child, "and the first as before", A);
	/* The cgroup of a process that is not waited for may go away before it. */
	kill(child, SIGKILL);
	usleep(200000);
	rmdir("/cgroup/system.slice/docker-" A ".scope");
	text = document_read(CONTINFO);
	ok(text && json_valid(text) && process_find(text, other),
	   "a zombie whose cgroup is removed does no harm");
	free(text);
	end(child);
	end(other);
	return tap_end();
}
