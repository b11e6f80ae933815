// SPDX-License-Identifier: GPL-2.0
/* The door for stock kernels: ioctls on /dev/so2_memlimit. */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
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

static const struct file_operations so2_device_ops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = so2_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

/* Everybody may open it: reading the list needs no privilege. */
static struct miscdevice so2_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "so2_memlimit",
	.fops = &so2_device_ops,
	.mode = 0666,
};

static int __init so2_init(void)
{
	int ret = so2_core_init();

	if (ret)
		return ret;
	ret = so2_proc_init();
	if (ret)
		goto err_core;
	ret = misc_register(&so2_device);
	if (ret)
		goto err_proc;
	return 0;

err_proc:
	so2_proc_exit();
err_core:
	so2_core_exit();
	return ret;
}

static void __exit so2_exit(void)
{
	misc_deregister(&so2_device);
	so2_proc_exit();
	so2_core_exit();
}

module_init(so2_init);
module_exit(so2_exit);
MODULE_DESCRIPTION("Memory limits on running processes");
MODULE_VERSION(SO2_MEMLIMIT_VERSION);
MODULE_LICENSE("GPL");
