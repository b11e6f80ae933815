// SPDX-License-Identifier: GPL-2.0
/* Which processes are in which container, by the cgroups that runtimes make. */
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "document.h"
#include "tap.h"

#define A     "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define B     "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define SHORT "0123456789abcdef"
#define USER  1000
#define UPPER "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef"

/* Makes /cgroup/@path with its parents. */
static void make(const char *path)
{
	char full[1024], *slash;

	snprintf(full, sizeof(full), "/cgroup/%s/", path);
	for (slash = strchr(full + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		mkdir(full, 0755);
		*slash = '/';
	}
}

/* Moves process @pid, 0 for this one, to /cgroup/@path. */
static bool move(const char *path, pid_t pid)
{
	char full[1024], text[16];
	int fd, length;
	bool done;

	snprintf(full, sizeof(full), "/cgroup/%s/cgroup.procs", path);
	fd = open(full, O_WRONLY);
	length = snprintf(text, sizeof(text), "%d", pid);
	done = write(fd, text, length) == length;
	close(fd);
	return done;
}

/* Makes /cgroup/@path with its parents and moves a new process there. */
static pid_t start_in(const char *path, int unshared)
{
	int ready[2];
	pid_t child;
	char word;

	make(path);
	if (pipe(ready))
		exit(1);
	child = fork();
	if (!child) {
		if ((unshared && unshare(unshared)) || write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	if (read(ready[0], &word, 1) != 1 || !move(path, child)) {
		printf("Bail out! cannot move a process to %s\n", path);
		exit(1);
	}
	close(ready[0]);
	close(ready[1]);
	return child;
}

static void end(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static bool is(const char *found, const char *id)
{
	return found && !strncmp(found, id, 64) && found[64] == '"' && found[65] == '}';
}

/*
 * @id: what both files must say, NULL where the process is in no container: then it is not in
 * continfo and has no container_id in sysinfo. @path: its cgroup.
 */
static void expect(pid_t child, const char *path, const char *id)
{
	char *all = document_read(SYSINFO), *contained = document_read(CONTINFO), full[1024];
	const char *process = all ? process_find(all, child) : NULL;
	const char *again = contained ? process_find(contained, child) : NULL;
	const char *found = process_container(process);
	struct stat st = {};
	bool fine;

	snprintf(full, sizeof(full), "/cgroup/%s", path);
	fine = process && json_valid(all) && contained && json_valid(contained) &&
	       !stat(full, &st) && process_field(process, "cgroup") == (long long)st.st_ino;
	if (id)
		fine = fine && is(found, id) && is(process_container(again), id) &&
		       process_field(again, "state") < 0 && process_field(again, "start_ns") > 0 &&
		       process_field(again, "cgroup") == (long long)st.st_ino;
	else
		fine = fine && !found && !again;
	ok(fine, "%s: %s", path, id ? "in its container" : "in none");
	free(all);
	free(contained);
}

static void try(const char *path, const char *id)
{
	pid_t child = start_in(path, 0);

	expect(child, path, id);
	end(child);
}

/* A user to whom @path, which no other case uses, was given makes @below there and goes in. */
static void delegated(const char *path, const char *below)
{
	static const char *const files[] = {"cgroup.procs", "cgroup.subtree_control"};
	int ready[2], go[2];
	char full[1024], word = 0;
	pid_t child;
	size_t i;

	make(path);
	snprintf(full, sizeof(full), "/cgroup/%s", path);
	if (pipe(ready) || pipe(go) || chown(full, USER, USER))
		exit(1);
	for (i = 0; i < 2; i++) {
		snprintf(full, sizeof(full), "/cgroup/%s/%s", path, files[i]);
		if (chown(full, USER, USER))
			exit(1);
	}
	snprintf(full, sizeof(full), "%s/%s", path, below);
	child = fork();
	if (!child) {
		if (read(go[0], &word, 1) != 1 || setgroups(0, NULL) ||
		    setresgid(USER, USER, USER) || setresuid(USER, USER, USER))
			_exit(1);
		make(full);
		word = move(full, 0);
		if (write(ready[1], &word, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	if (!move(path, child) || write(go[1], "", 1) != 1 || read(ready[0], &word, 1) != 1)
		exit(1);
	ok(word, "a user goes where they were let: %s", full);
	expect(child, full, NULL);
	end(child);
	for (i = 0; i < 2; i++) {
		close(ready[i]);
		close(go[i]);
	}
}

static void runtimes(void)
{
	/* Docker, either driver; a parent of its own; in a container of Docker. */
	try("system.slice/docker-" A ".scope", A);
	try("docker/" A, A);
	try("docker/" A "/init.scope/deep", A);
	try("web.slice/docker-" A ".scope", A);
	try("web.slice/web-shop.slice/docker-" A ".scope", A);
	try("docker-" A ".scope", A); /* parent: -.slice */
	try("system.slice/docker-" A ".scope/docker/" B, A);
	try("docker/" A "/docker/" B, A);
	try("system.slice/docker-" A ".scope/system.slice/docker-" B ".scope", A);
	try("system.slice/docker-" A ".scope/system.slice/x.service", A);
	/* Only the engine can tell: such a name could be anybody's. */
	try("web/" A, NULL);
	try("system.slice/" A, NULL);
	try("system.slice/web.service/" A, NULL);
	try("system.slice/web.service/docker-" A ".scope", NULL);
	/* Docker without root */
	try("user.slice/user-1000.slice/user@1000.service/user.slice/docker-" A ".scope", NULL);
	try("user.slice/user-1000.slice/user@1000.service/app.slice/docker-" A ".scope", NULL);

	/* Podman; its monitor; a Quadlet; without root */
	try("machine.slice/libpod-" A ".scope", A);
	try("machine.slice/libpod-" A ".scope/container", A);
	try("machine.slice/machine-libpod_pod_" B ".slice/libpod-" A ".scope", A);
	try("machine.slice/libpod-conmon-" A ".scope", NULL);
	try("system.slice/web.service/libpod-payload-" A, NULL);
	try("system.slice/web.service/runtime", NULL);
	try("user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" A ".scope", NULL);

	/* containerd, CRI-O, Kubernetes with either driver */
	try("system.slice/nerdctl-" A ".scope", A);
	try("default/" A, NULL);
	try("default/nerdctl-" A ".scope", NULL);
	try("kubepods.slice/kubepods-pod1.slice/cri-containerd-" A ".scope", A);
	try("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/crio-" A
	    ".scope",
	    A);
	try("kubepods.slice/crio-" A ".scope", A);
	try("kubepods.slice/crio-conmon-" A ".scope", NULL);
	try("kubepods/pod1/" A, A);
	try("kubepods/burstable/pod1/" A, A);
	try("kubepods/besteffort/pod1/" A "/deep", A);
	try("kubepods/guaranteed/pod1/" A, NULL);
	try("kubepods/pod1/deep/" A, NULL);
	try("kubepods/" A, NULL);
	try("kubepods/burstable/" A, NULL);
	try("kubepods/pod1", NULL);

	/* Machines are no containers of ours, whatever is in them. */
	try("lxc.payload.c1", NULL);
	try("lxc.monitor.c1", NULL);
	try("lxc.payload.c1/docker/" A, NULL);
	try("lxc.payload.c1/system.slice/docker-" A ".scope", NULL);
	try("lxc/101/ns", NULL);
	try("lxc/101/ns/docker/" A, NULL);
	try("machine.slice/systemd-nspawn@c1.service/payload/docker/" A, NULL);
	try("machine.slice/machine-c1.scope/payload/docker-" A ".scope", NULL);
}

/* Names that are nearly one of those. */
static void near_misses(void)
{
	try("user.slice/user-1000.slice/user@1000.service/docker-" A ".scope", NULL);
	try("user.slice/user-1000.slice/user@1000.service/docker/" A, NULL);
	try("system.slice/x.service/" A, NULL);
	try("system.slice/run-x.scope/docker-" A ".scope", NULL);
	try("system.slice/docker-" SHORT ".scope", NULL);
	try("system.slice/docker-" UPPER ".scope", NULL);
	try("system.slice/docker-" A "0.scope", NULL);
	try("system.slice/evil-docker-" A ".scope", NULL);
	try("system.slice/docker-" A ".service", NULL);
	try("system.slice/docker-" A, NULL);
	try("system.slice/docker-.scope", NULL);
	try("system.slice/docker/" A, NULL);
	try("docker/" A "0", NULL);
	try("docker/deep/" A, NULL);
	try("docker", NULL);
	try("docker.slice/" A, NULL);
	try("Docker/" A, NULL);
	try(A, NULL);
	try("system.slice", NULL);
	try("system.slice/systemd-logind.service", NULL);
	try(".scope/" A, NULL);
}

int main(void)
{
	char *text = document_read(CONTINFO);
	pid_t child, other;

	ok(text && !strcmp(text, "[]\n"), "without containers: an empty list");
	free(text);
	runtimes();
	near_misses();
	delegated("lxc.payload.u1", "docker/" A);
	delegated("lxc.payload.u2", "docker-" A ".scope");
	delegated("lxc.payload.u3", "system.slice/docker-" A ".scope");
	delegated("lxc.payload.u4", "kubepods/pod1/" A);
	delegated("lxc/201/ns", "docker/" A);
	delegated("user.slice/user-1001.slice/user@1001.service", "docker-" A ".scope");
	delegated("machine.slice/systemd-nspawn@u1.service/payload", "docker/" A);

	/* A UTS namespace of its own makes no container, nor does the host's make none. */
	child = start_in("system.slice/systemd-udevd.service", CLONE_NEWUTS);
	expect(child, "system.slice/systemd-udevd.service", NULL);
	end(child);
	child = start_in("system.slice/docker-" A ".scope", 0);
	expect(child, "system.slice/docker-" A ".scope", A);
	other = start_in("system.slice/docker-" B ".scope", CLONE_NEWUTS | CLONE_NEWPID);
	expect(other, "system.slice/docker-" B ".scope", B);
	expect(child, "system.slice/docker-" A ".scope", A);
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
