// SPDX-License-Identifier: MIT
/*
 * The yardstick: a BPF task iterator that prints what /proc/sysinfo_so1_* does.
 *
 * Pinned, it is a file: `bpftool iter pin processes.bpf.o /sys/fs/bpf/so1_bench`.
 * It leaves out what BPF makes hard: names are not escaped (a quote in one
 * breaks the document), of a process whose first thread has exited neither the
 * memory nor the sum is looked for elsewhere, threads beyond the first MAX_THREADS
 * are not summed, a sum that raced with an exiting thread is not repeated, no
 * container is told from the names of cgroups, and available_ram is not worked out.
 */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

#define PF_KTHREAD  0x00200000
#define TASK_REPORT 0x7f
#define TASK_IDLE   0x402
#define PAGE_KIB    4
#define NICE_0	    120 /* static_prio of nice 0 */
#define MAX_THREADS 64

extern const void _totalram_pages __ksym;
extern const void vm_zone_stat __ksym;

/* Kept over the calls for one walk; readers at the same time would share it. */
static __u64 total_ram;

static __u64 pages_kib(const void *counter)
{
	long pages = 0;

	bpf_probe_read_kernel(&pages, sizeof(pages), counter);
	return pages * PAGE_KIB;
}

/* Of all threads, those that have exited too. */
struct usage {
	__u64 cpu_ns;
	__u64 major_faults;
	__u64 read_bytes;
	__u64 written_bytes;
};

static void sum(struct task_struct *leader, struct usage *usage)
{
	struct signal_struct *sig = leader->signal;
	struct list_head *node = sig->thread_head.next;
	int i;

	usage->cpu_ns = sig->sum_sched_runtime;
	usage->major_faults = sig->maj_flt;
	usage->read_bytes = sig->ioac.read_bytes;
	usage->written_bytes = sig->ioac.write_bytes;
	for (i = 0; i < MAX_THREADS; i++) {
		struct task_struct *thread;

		if (node == &sig->thread_head)
			break;
		thread = (void *)node - bpf_core_field_offset(struct task_struct, thread_node);
		usage->cpu_ns += BPF_CORE_READ(thread, se.sum_exec_runtime);
		usage->major_faults += BPF_CORE_READ(thread, maj_flt);
		usage->read_bytes += BPF_CORE_READ(thread, ioac.read_bytes);
		usage->written_bytes += BPF_CORE_READ(thread, ioac.write_bytes);
		node = BPF_CORE_READ(node, next);
	}
}

SEC("iter/task")
int so1_bench(struct bpf_iter__task *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct task_struct *task = ctx->task;
	__u64 rss = 0, vsz = 0, swap = 0, start, age, now = bpf_ktime_get_boot_ns();
	struct usage usage;
	unsigned int state;
	struct mm_struct *mm;

	if (!task) {
		BPF_SEQ_PRINTF(seq, "]}\n");
		return 0;
	}
	if (task->pid != task->tgid)
		return 0;
	if (ctx->meta->seq_num == 0) {
		__u64 free_ram = pages_kib(&vm_zone_stat);

		total_ram = pages_kib(&_totalram_pages);
		BPF_SEQ_PRINTF(seq,
			       "{\"total_ram\":%llu,\"free_ram\":%llu,\"used_ram\":%llu,"
			       "\"taken_ns\":%llu,\"processes\":[",
			       total_ram, free_ram, total_ram - free_ram, now);
	} else {
		bpf_seq_write(seq, ",", 1);
	}
	mm = task->mm;
	if (mm && !(task->flags & PF_KTHREAD)) {
		struct mm_rss_stat pages;

		BPF_CORE_READ_INTO(&pages, mm, rss_stat);
		rss = (pages.count[MM_FILEPAGES].counter + pages.count[MM_ANONPAGES].counter +
		       pages.count[MM_SHMEMPAGES].counter) *
		      PAGE_KIB;
		vsz = mm->total_vm * PAGE_KIB;
		swap = pages.count[MM_SWAPENTS].counter * PAGE_KIB;
	}
	state = task->__state;
	state = state == TASK_IDLE ? state : (state | task->exit_state) & TASK_REPORT;
	start = task->start_boottime;
	sum(task, &usage);
	age = now > start ? (now - start) / 100 : 0;
	/* In two parts: one call takes twelve values. */
	BPF_SEQ_PRINTF(seq,
		       "{\"pid\":%d,\"ppid\":%d,\"uid\":%u,\"name\":\"%s\",\"state\":%u,"
		       "\"threads\":%d,\"rss\":%llu,\"vsz\":%llu,\"swap\":%llu,"
		       "\"mem_percent\":%llu,\"cpu\":%llu,",
		       task->tgid, task->real_parent->tgid, task->cred->uid.val, task->comm, state,
		       task->signal->nr_threads, rss, vsz, swap,
		       total_ram ? rss * 100 / total_ram : 0, age ? usage.cpu_ns / age : 0);
	BPF_SEQ_PRINTF(seq,
		       "\"start_ns\":%llu,\"cpu_ns\":%llu,\"major_faults\":%llu,"
		       "\"read_bytes\":%llu,\"written_bytes\":%llu,\"nice\":%d,"
		       "\"oom_score_adj\":%d,\"cgroup\":%llu}",
		       start, usage.cpu_ns, usage.major_faults, usage.read_bytes,
		       usage.written_bytes, task->static_prio - NICE_0, task->signal->oom_score_adj,
		       task->cgroups->dfl_cgrp->kn->id);
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
