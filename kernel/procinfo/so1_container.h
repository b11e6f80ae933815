/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where a process is: its cgroup (version 2), and the container by its name.
 *
 * The name alone decides, so only names that root or a runtime made may count.
 * From the root, slices are passed through: systemd makes them and gives none
 * away. The first other component must be the container's, «docker-<id>.scope»
 * say, or the directory of a runtime that manages cgroups itself, at the root:
 *
 *	docker/<id>
 *	kubepods/[burstable/|besteffort/]pod<uid>/<id>
 *
 * Anything else ends the search: whoever was given a directory (a service, a
 * user session, an LXC container) makes any names beneath it.
 */
#ifndef SO1_CONTAINER_H
#define SO1_CONTAINER_H

#include <linux/cgroup.h>
#include <linux/ctype.h>
#include <linux/string.h>

#include "so1_compat.h"

#define SO1_CONTAINER_ID 64

static bool so1_is_id(const char *text, size_t length)
{
	int i;

	if (length != SO1_CONTAINER_ID)
		return false;
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

/* The id in «<runtime>-<id>.scope»; NULL where @name is nothing of the kind. */
static const char *so1_scope_id(const char *name)
{
	static const char *const runtimes[] = {
		"docker-", "libpod-", "cri-containerd-", "crio-", "nerdctl-",
	};
	size_t length = strlen(name), head;
	int i;

	if (!so1_ends_with(name, length, ".scope"))
		return NULL;
	length -= strlen(".scope");
	for (i = 0; i < ARRAY_SIZE(runtimes); i++) {
		head = str_has_prefix(name, runtimes[i]);
		if (head)
			return so1_is_id(name + head, length - head) ? name + head : NULL;
	}
	return NULL;
}

/* The name of @cgroup's ancestor at @level; empty below @cgroup itself. */
static const char *so1_component(const struct cgroup *cgroup, int level)
{
	return level <= cgroup->level ? so1_cgroup_name(cgroup->ancestors[level]) : "";
}

/* The id in the path of @cgroup, or NULL. It lives as long as RCU is held. */
static const char *so1_path_id(const struct cgroup *cgroup)
{
	const char *name = so1_component(cgroup, 1);
	int level = 1;

	while (so1_ends_with(name, strlen(name), ".slice"))
		name = so1_component(cgroup, ++level);
	if (level == 1 && !strcmp(name, "docker")) {
		name = so1_component(cgroup, 2);
	} else if (level == 1 && !strcmp(name, "kubepods")) {
		name = so1_component(cgroup, ++level);
		if (!strcmp(name, "burstable") || !strcmp(name, "besteffort"))
			name = so1_component(cgroup, ++level);
		if (!str_has_prefix(name, "pod"))
			return NULL;
		name = so1_component(cgroup, ++level);
	} else {
		return so1_scope_id(name);
	}
	return so1_is_id(name, strlen(name)) ? name : NULL;
}

struct so1_place {
	u64 cgroup;		   /* inode number of its directory */
	bool contained;		   /* in a container by the names in its path */
	char id[SO1_CONTAINER_ID]; /* which; without an end */
};

static void so1_find_place(struct task_struct *task, struct so1_place *place)
{
	const struct cgroup *cgroup;
	const char *id;

	/* Neither the cgroup nor its ancestors, nor their names, are freed under RCU. */
	rcu_read_lock();
	cgroup = task_dfl_cgroup(task);
	place->cgroup = kernfs_ino(cgroup->kn);
	id = so1_path_id(cgroup);
	place->contained = id;
	if (id)
		memcpy(place->id, id, SO1_CONTAINER_ID);
	rcu_read_unlock();
}

#endif
