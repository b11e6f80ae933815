/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which container a process is in, by its cgroup (version 2).
 *
 * From the root to the leaf, the first component that a container runtime
 * makes is the container: «docker-<id>.scope» where systemd manages cgroups,
 * «<id>» where the runtime does. But a systemd unit owns what is beneath it:
 * under any other .service or .scope the search ends, or whoever was given a
 * cgroup of their own (a user session is one) could name a process into
 * somebody else's container.
 */
#ifndef SO1_CONTAINER_H
#define SO1_CONTAINER_H

#include <linux/cgroup.h>
#include <linux/ctype.h>
#include <linux/kernfs.h>
#include <linux/string.h>

#define SO1_CONTAINER_ID 64

static bool so1_is_id(const char *text)
{
	int i;

	for (i = 0; i < SO1_CONTAINER_ID; i++)
		if (!isdigit(text[i]) && (text[i] < 'a' || text[i] > 'f'))
			return false;
	return true;
}

static bool so1_ends_with(const char *text, size_t length, const char *end)
{
	size_t tail = strlen(end);

	return length >= tail && !strcmp(text + length - tail, end);
}

/*
 * What one component of the path says: the container's id, or NULL; @stop is
 * set where the search ends without one.
 */
static const char *so1_component_id(const char *name, bool *stop)
{
	static const char *const runtimes[] = {
		"docker-", "libpod-", "cri-containerd-", "crio-", "nerdctl-",
	};
	size_t length = strlen(name);
	int i;

	if (length == SO1_CONTAINER_ID && so1_is_id(name))
		return name;
	if (so1_ends_with(name, length, ".scope")) {
		for (i = 0; i < ARRAY_SIZE(runtimes); i++) {
			size_t head = strlen(runtimes[i]);

			if (length == head + SO1_CONTAINER_ID + strlen(".scope") &&
			    str_has_prefix(name, runtimes[i]) && so1_is_id(name + head))
				return name + head;
		}
		*stop = true;
	} else if (so1_ends_with(name, length, ".service")) {
		*stop = true;
	}
	return NULL;
}

/* Copies the id of the container that @task is in; false where it is in none. */
static bool so1_container_id(struct task_struct *task, char id[SO1_CONTAINER_ID])
{
	const char *found = NULL;
	struct cgroup *cgroup;
	bool stop = false;
	int level;

	rcu_read_lock();
	cgroup = task_dfl_cgroup(task);
	if (!cgroup_tryget(cgroup))
		cgroup = NULL;
	rcu_read_unlock();
	if (!cgroup)
		return false;
	/* A cgroup keeps its ancestors, and version 2 never renames one. */
	for (level = 1; level <= cgroup->level && !found && !stop; level++)
		found = so1_component_id(cgroup->ancestors[level]->kn->name, &stop);
	if (found)
		memcpy(id, found, SO1_CONTAINER_ID);
	cgroup_put(cgroup);
	return found;
}

#endif
