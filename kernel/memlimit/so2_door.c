// SPDX-License-Identifier: GPL-2.0
/*
 * The door for stock kernels: ioctls on /proc/so2_memlimit. A file under /proc
 * and no device, because unloading takes it from whoever has it open: an open
 * device would hold the module, and everybody may open this.
 */
#include <linux/capability.h>
#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/pid_namespace.h>
#include <linux/proc_fs.h>
#include <linux/uaccess.h>

#include "so2_core.h"
#include "so2_version.h"

static long so2_ioctl_get(const void __user *arg)
{
	struct so2_get get;

	if (copy_from_user(&get, arg, sizeof(get)))
		return -EFAULT;
	return so2_get(u64_to_user_ptr(get.processes), get.max_entries,
		       u64_to_user_ptr(get.processes_returned));
}

static long so2_ioctl_set(int (*set)(pid_t nr, u64 limit), const void __user *arg)
{
	struct memory_limitation process;

	/* Whoever may not do it is told so before the argument is looked at. */
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (copy_from_user(&process, arg, sizeof(process)))
		return -EFAULT;
	return set(process.pid, process.memory_limit);
}

static long so2_ioctl_remove(const s32 __user *arg)
{
	s32 pid;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (get_user(pid, arg))
		return -EFAULT;
	return so2_remove(pid);
}

static long so2_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	void __user *at = (void __user *)arg;

	switch (command) {
	case SO2_IOC_ADD:
		return so2_ioctl_set(so2_add, at);
	case SO2_IOC_GET:
		return so2_ioctl_get(at);
	case SO2_IOC_UPDATE:
		return so2_ioctl_set(so2_update, at);
	case SO2_IOC_REMOVE:
		return so2_ioctl_remove(at);
	}
	return -ENOTTY;
}

#ifdef CONFIG_COMPAT
static long so2_compat_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	return so2_ioctl(file, command, (unsigned long)compat_ptr(arg));
}
#endif

/* Every mount of procfs has the file; the door is in the host's alone. */
static int so2_open(struct inode *inode, struct file *file)
{
	return proc_pid_ns(inode->i_sb) == &init_pid_ns ? 0 : -EACCES;
}

static const struct proc_ops so2_door_ops = {
	.proc_open = so2_open,
	.proc_lseek = noop_llseek,
	.proc_ioctl = so2_ioctl,
#ifdef CONFIG_COMPAT
	.proc_compat_ioctl = so2_compat_ioctl,
#endif
};

static struct proc_dir_entry *so2_door;

static int __init so2_init(void)
{
	int ret = so2_core_init();

	if (ret)
		return ret;
	ret = so2_proc_init();
	if (ret)
		goto err_core;
	/* Everybody may open it: reading the list needs no privilege. */
	so2_door = proc_create(SO2_DOOR_NAME, 0666, NULL, &so2_door_ops);
	if (!so2_door) {
		ret = -ENOMEM;
		goto err_proc;
	}
	return 0;

err_proc:
	so2_proc_exit();
err_core:
	so2_core_exit();
	return ret;
}

static void __exit so2_exit(void)
{
	/* Waits for calls that are under way; no other comes in. */
	proc_remove(so2_door);
	so2_proc_exit();
	so2_core_exit();
}

module_init(so2_init);
module_exit(so2_exit);
MODULE_DESCRIPTION("Memory limits on running processes");
MODULE_VERSION(SO2_MEMLIMIT_VERSION);
MODULE_LICENSE("GPL");
