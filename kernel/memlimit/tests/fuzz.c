// SPDX-License-Identifier: GPL-2.0
/*
 * fuzz SECONDS [SEED]: arguments and pointers at random, as root and as nobody,
 * of the four operations and of reads of the files under /proc: never anything
 * but the errors that so2_memlimit_uapi.h states. In a pid namespace of its
 * own, so that it hits nobody else.
 *
 * An input is a few words; whatever a call chooses, it draws from the next of
 * them. Those of fuzz.corpus come first, then changes of them and new ones. On
 * a kernel with KCOV, an input that reaches code of ours that none had reached
 * is kept and changed in its turn; in the end the fewest and shortest that
 * reach all of it are printed, as «# corpus WORDS».
 */
#include <linux/kcov.h>
#include <sched.h>
#include <sys/random.h>
#include <time.h>

#include "door.h"
#include "subject.h"
#include "tap.h"

#define NOBODY 65534
#define PAGE   4096
#define CORPUS "/tests/fuzz.corpus"
#define WORDS  32
#define MOST   1000	 /* inputs that are kept */
#define COVER  (1 << 18) /* places that one input may pass */

struct input {
	int count;
	uint32_t words[WORDS];
};

static struct input kept[MOST];
static int kept_count, from_corpus;
static const struct input *input;
static int drawn;   /* of its words */
static char *pages; /* writable, readable, none, writable */

/* A word of the input, spread over 64 bits. */
static unsigned long long any(void)
{
	uint64_t word = drawn < input->count ? input->words[drawn] : 0;

	word = (word + ++drawn) * 0x9e3779b97f4a7c15;
	word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9;
	word = (word ^ word >> 27) * 0x94d049bb133111eb;
	return word ^ word >> 31;
}

static uint64_t any_number(void)
{
	static const uint64_t edges[] = {
		0,
		1,
		2,
		31,
		32,
		33,
		4095,
		4096,
		INT_MAX,
		INT_MAX + 1ull,
		UINT_MAX,
		UINT_MAX + 1ull,
		INT64_MAX,
		INT64_MAX + 1ull,
		UINT64_MAX,
		UINT64_MAX / 16,
		UINT64_MAX / 16 + 1,
	};

	switch (any() % 4) {
	case 0:
		return edges[any() % (sizeof(edges) / sizeof(*edges))];
	case 1:
		return any() % 10;
	case 2:
		return any() % 1000000;
	}
	return any() >> any() % 64;
}

/* Nowhere that we need ourselves. */
static void *any_pointer(void)
{
	static const uint64_t bad[] = {
		0,
		1,
		8,
		PAGE - 1,
		0x7fffffffffff,
		0x800000000000,
		0xffff7fffffffffff,
		0xffff888000000000,
		0xffffffff81000000,
		UINT64_MAX - 15,
		UINT64_MAX,
	};

	switch (any() % 4) {
	case 0:
		return (void *)bad[any() % (sizeof(bad) / sizeof(*bad))];
	case 1:
		return pages + any() % 4 * PAGE;
	case 2:
		return pages + any() % (4 * PAGE);
	}
	return pages + (1 + any() % 4) * PAGE - any() % 64;
}

/* Those that are there; nobody has them from root. */
static int documents[3], documents_open;

static void open_documents(void)
{
	static const char *const paths[] = {
		"/proc/so2_memory_limits",
		"/proc/sysinfo_so1_202300539",
		"/proc/continfo_so1_202300539",
	};
	size_t i;

	for (i = 0; i < 3; i++) {
		documents[documents_open] = open(paths[i], O_RDONLY);
		documents_open += documents[documents_open] >= 0;
	}
}

/* 0 where something is read: it may land on what another call is given. */
static long any_read(void)
{
	int fd = documents[any() % documents_open];
	uint64_t at = any() % 2 ? any() % 20000 : any_number();
	ssize_t got;

	if (any() % 8 == 0)
		got = lseek(fd, at, any() % 3);
	else
		got = pread(fd, any_pointer(), any() % 2 ? any() % PAGE : any_number(), at);
	return got < 0 ? -errno : 0;
}

static pid_t any_pid(void)
{
	return any() % 2 ? (pid_t)(any() % 12) : (pid_t)any_number();
}

static long any_call(void)
{
	static const unsigned int commands[] = {SO2_IOC_ADD, SO2_IOC_GET, SO2_IOC_UPDATE,
						SO2_IOC_REMOVE};
	uint64_t words[3] = {(uintptr_t)any_pointer(), any_number(), (uintptr_t)any_pointer()};
	unsigned int command;

	switch (any() % (door_is_file() ? 7 : 5)) {
	case 0:
		return limit_add(any_pid(), any_number());
	case 1:
		return limit_update(any_pid(), any_number());
	case 2:
		return limit_remove(any_pid());
	case 3:
		return limit_get(any_pointer(), any_number(), any_pointer());
	case 4:
		return any_read();
	case 5:
		/* A struct of any words somewhere, then any command with any pointer. */
		memcpy(pages + any() % (PAGE - sizeof(words)), words, sizeof(words));
		command = commands[any() % 4];
		break;
	default:
		command = any() % 2 ? any_number() : commands[any() % 4] ^ 1u << any() % 32;
		/* Those of every file are not ours to answer for. */
		if ((command >> 8 & 255) != SO2_IOC_MAGIC)
			command = (command & 0xffff00ff) | SO2_IOC_MAGIC << 8;
	}
	return door_result(ioctl(door, command, any_pointer()));
}

static bool documented(long result)
{
	switch (result) {
	case 0:
	case -EPERM:
	case -EINVAL:
	case -ESRCH:
	case -SO2_ELISTED:
	case -SO2_ENOTLISTED:
	case -ENOMEM:
	case -EFAULT:
		return true;
	case -ENOTTY:
		return door_is_file();
	}
	return false;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static uint64_t state;

static uint32_t chance(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state >> 16;
}

/* One that is kept, with some words changed, more, or fewer; now and then all new. */
static struct input next_input(void)
{
	struct input next = {.count = 1 + chance() % WORDS};
	int i, changes;

	for (i = 0; i < next.count; i++)
		next.words[i] = chance();
	if (!kept_count || chance() % 8 == 0)
		return next;
	input = &kept[chance() % kept_count];
	changes = 1 + chance() % 4;
	for (i = 0; i < input->count; i++)
		if (i < next.count || chance() % 2)
			next.words[i] = input->words[i];
	if (next.count < input->count && chance() % 2)
		next.count = input->count;
	for (i = 0; i < changes; i++)
		next.words[chance() % next.count] = chance();
	return next;
}

static unsigned long *cover; /* their number, then the places that were passed; NULL without KCOV */
static bool reached[1 << 20];
static int places;

static void open_cover(void)
{
	int fd = open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	if (ioctl(fd, KCOV_INIT_TRACE, COVER))
		exit(2);
	cover = mmap(NULL, COVER * sizeof(*cover), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (cover == MAP_FAILED || ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC))
		exit(2);
}

/* How many places that none had reached before; only our code tells. */
static int reaches(void)
{
	int before = places;
	unsigned long i;

	for (i = 1; i <= cover[0]; i++) {
		bool *one = &reached[(cover[i] * 0x9e3779b97f4a7c15) >> 44];

		places += !*one;
		*one = true;
	}
	return places - before;
}

static long calls, succeeded, wrong;

/* Whether it reaches something new. */
static bool run(const struct input *which)
{
	input = which;
	drawn = 0;
	if (cover)
		__atomic_store_n(&cover[0], 0, __ATOMIC_RELAXED);
	while (drawn < which->count) {
		long result = any_call();

		calls++;
		succeeded += !result;
		if (!documented(result)) {
			printf("# %ld\n", result);
			wrong++;
		}
	}
	return cover && reaches();
}

static void fuzz(const char *who, double length)
{
	double end = seconds() + length;
	int i;

	calls = succeeded = wrong = 0;
	for (i = 0; i < from_corpus; i++)
		run(&kept[i]);
	ok(!wrong, "%s: %d inputs of earlier runs, %ld calls, %d places", who, from_corpus, calls,
	   places);
	do {
		for (i = 0; i < 32; i++) {
			struct input one = next_input();

			if (run(&one) && kept_count < MOST)
				kept[kept_count++] = one;
		}
	} while (seconds() < end);
	ok(!wrong && succeeded, "%s: %ld calls, %ld succeeded, %ld undocumented errors, %d places",
	   who, calls, succeeded, wrong, places);
}

static void read_corpus(void)
{
	FILE *file = fopen(CORPUS, "r");
	char line[WORDS * 9 + 2], *at, *end;

	if (!file)
		exit(2);
	while (fgets(line, sizeof(line), file) && kept_count < MOST) {
		struct input *one = &kept[kept_count];

		one->count = 0;
		for (at = line; *at != '#' && one->count < WORDS; at = end) {
			uint32_t word = strtoul(at, &end, 16);

			if (end == at)
				break;
			one->words[one->count++] = word;
		}
		kept_count += one->count > 0;
	}
	from_corpus = kept_count;
	fclose(file);
}

static int shorter(const void *a, const void *b)
{
	return ((const struct input *)a)->count - ((const struct input *)b)->count;
}

static void print_corpus(void)
{
	int i, word;

	qsort(kept, kept_count, sizeof(*kept), shorter);
	memset(reached, 0, sizeof(reached));
	places = 0;
	for (i = 0; i < kept_count; i++) {
		if (!run(&kept[i]))
			continue;
		printf("# corpus");
		for (word = 0; word < kept[i].count; word++)
			printf(" %x", kept[i].words[word]);
		printf("\n");
	}
}

static int both(double length)
{
	struct subject subjects[8];
	int i, pid, left = 0;

	pages = take(4 * PAGE);
	mprotect(pages + PAGE, PAGE, PROT_READ);
	mprotect(pages + 2 * PAGE, PAGE, PROT_NONE);
	for (i = 0; i < 8; i++)
		subjects[i] = subject_start(subject_idle);
	open_cover();
	fuzz("root", length);
	/* Any of them is removed, or is not there. */
	for (pid = 1; pid < 12; pid++)
		left += limit_remove(pid) != 0 && limit_remove(pid) != -SO2_ENOTLISTED;
	ok(!left && listed_count() == 0, "the list is empty in the end");
	for (i = 0; i < 8; i++)
		left += !has_limits(subjects[i].pid, RLIM_INFINITY, RLIM_INFINITY);
	ok(!left, "and everybody has what they had");
	for (i = 0; i < documents_open; i++)
		left += pread(documents[i], pages, PAGE, 0) <= 0;
	ok(!left, "the files can be read as ever");
	if (cover && kept_count > from_corpus)
		print_corpus();
	for (pid = 1; pid < 12; pid++)
		limit_remove(pid);
	limit_add(subjects[0].pid, MIB);
	if (setresuid(NOBODY, NOBODY, NOBODY))
		return 1;
	fuzz("nobody", length / 2);
	ok(listed_count() == 1 && listed_limit(subjects[0].pid) == MIB, "the list is as it was");
	/* The module is built for it; a tree that has the system calls is not. */
	ok(!cover || !door_is_file() || places, "where the kernel has KCOV, our code tells");
	return tap_end();
}

int main(int argc, char **argv)
{
	int status = -1;
	pid_t child;

	door_open();
	open_documents();
	if (!documents_open || argc < 2 || unshare(CLONE_NEWPID))
		return 2;
	if (argc > 2)
		state = strtoull(argv[2], NULL, 0);
	else if (getrandom(&state, sizeof(state), 0) != sizeof(state))
		return 2;
	state |= 1;
	printf("# seed %llu\n", (unsigned long long)state);
	read_corpus();
	fflush(stdout);
	child = fork();
	if (!child)
		_exit(both(atof(argv[1])));
	waitpid(child, &status, 0);
	return status != 0;
}
