/* SPDX-License-Identifier: GPL-2.0 */
/* A file under /proc that only root and a group may read, and only in the host's mount. */
#ifndef SO1_PROC_H
#define SO1_PROC_H

#include <linux/ctype.h>
#include <linux/fs.h>
#include <linux/pid_namespace.h>
#include <linux/proc_fs.h>
#include <linux/string.h>
#include <linux/uidgid.h>
#include <linux/user_namespace.h>

/*
 * Every mount of procfs has the file, a container's own as well, and root there
 * is root to its mode: what is on the host is told in the host's mount alone.
 */
static bool so1_proc_is_hosts(const struct inode *inode)
{
	return proc_pid_ns(inode->i_sb) == &init_pid_ns;
}

/* Creates /proc/<prefix><suffix>, 0440, root and @gid. */
static int so1_proc_create(const char *prefix, const char *suffix, unsigned int gid,
			   const struct proc_ops *ops, struct proc_dir_entry **entry)
{
	kgid_t group = make_kgid(&init_user_ns, gid);
	char name[64];
	size_t i, length = strlen(suffix);

	if (length < 1 || length > 32 || !gid_valid(group))
		return -EINVAL;
	for (i = 0; i < length; i++)
		if (!isascii(suffix[i]) ||
		    (!isalnum(suffix[i]) && suffix[i] != '_' && suffix[i] != '-'))
			return -EINVAL;
	snprintf(name, sizeof(name), "%s%s", prefix, suffix);
	*entry = proc_create(name, 0440, NULL, ops);
	if (!*entry)
		return -ENOMEM;
	proc_set_user(*entry, GLOBAL_ROOT_UID, group);
	return 0;
}

#endif
