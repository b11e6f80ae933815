/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A JSON document as a file under /proc.
 *
 * The document is rendered whole by the read at offset 0 and kept with the
 * open file; reads at other offsets are served from it. So it is one
 * consistent snapshot whatever the sizes and the order of the reads, the walk
 * over the processes happens once, and one read() returns all of it. A read
 * that finds the end gives the memory back; another read makes a new document.
 *
 * Everything is static: sysinfo.ko and continfo.ko each stand alone.
 */
#ifndef SO1_DOCUMENT_H
#define SO1_DOCUMENT_H

#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "so1_json.h"
#include "so1_proc.h"

/* Each module renders its own document. */
static int so1_render(struct so1_document *doc);

static int so1_document_open(struct inode *inode, struct file *file)
{
	struct so1_document *doc;

	if (!so1_proc_is_hosts(inode))
		return -EACCES;
	doc = kzalloc(sizeof(*doc), GFP_KERNEL_ACCOUNT);
	if (!doc)
		return -ENOMEM;
	mutex_init(&doc->lock);
	file->private_data = doc;
	return 0;
}

static ssize_t so1_document_read(struct file *file, char __user *to, size_t count, loff_t *at)
{
	struct so1_document *doc = file->private_data;
	ssize_t ret = mutex_lock_killable(&doc->lock);

	if (ret)
		return ret;
	if (*at == 0 || !doc->text) {
		doc->length = 0;
		ret = so1_render(doc);
		if (!ret)
			WRITE_ONCE(so1_document_length, doc->length);
		else
			so1_forget(doc);
	}
	if (!ret) {
		ret = simple_read_from_buffer(to, count, at, doc->text, doc->length);
		if (!ret && count)
			so1_forget(doc);
	}
	mutex_unlock(&doc->lock);
	return ret;
}

static int so1_document_release(struct inode *inode, struct file *file)
{
	struct so1_document *doc = file->private_data;

	so1_forget(doc);
	kfree(doc);
	return 0;
}

static const struct proc_ops so1_document_ops = {
	.proc_open = so1_document_open,
	.proc_read = so1_document_read,
	.proc_lseek = default_llseek,
	.proc_release = so1_document_release,
};

static int so1_document_create(const char *prefix, const char *suffix, unsigned int gid,
			       struct proc_dir_entry **entry)
{
	return so1_proc_create(prefix, suffix, gid, &so1_document_ops, entry);
}

#endif
