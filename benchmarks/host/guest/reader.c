// SPDX-License-Identifier: MIT
/*
 * reader REPEATS FILE...: opens, reads to the end and closes each file in turn, REPEATS times;
 * a line of nanoseconds, one for each file, for each time. The same for every file: read() into
 * a buffer larger than any of them, as often as it takes.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SIZE (8 << 20)

static char buffer[SIZE];

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static long long took(const char *path)
{
	long long start = now();
	int file = open(path, O_RDONLY);
	ssize_t got = -1;

	while (file >= 0 && (got = read(file, buffer, SIZE)) > 0)
		;
	if (file < 0 || got < 0) {
		perror(path);
		exit(1);
	}
	close(file);
	return now() - start;
}

int main(int argc, char **argv)
{
	int repeats = argc > 2 ? atoi(argv[1]) : 0;

	if (repeats < 1) {
		fprintf(stderr, "usage: reader REPEATS FILE...\n");
		return 2;
	}
	for (size_t i = 0; i < SIZE; i += 4096)
		buffer[i] = 1; /* page faults are not part of a read */
	while (repeats--)
		for (int i = 2; i < argc; i++)
			printf("%lld%c", took(argv[i]), i + 1 < argc ? ' ' : '\n');
	return 0;
}
