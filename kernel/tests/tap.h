/* SPDX-License-Identifier: GPL-2.0 */
/* Results of a test program in TAP; one that fails makes the program fail. */
#ifndef TAP_H
#define TAP_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int tap_count, tap_failed;
static struct timespec tap_began;

__attribute__((constructor)) static void tap_begin(void)
{
	clock_gettime(CLOCK_MONOTONIC, &tap_began);
}

__attribute__((format(printf, 2, 3), unused)) static void ok(bool passed, const char *what, ...)
{
	va_list args;

	printf("%sok %d - ", passed ? "" : "not ", ++tap_count);
	va_start(args, what);
	vprintf(what, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
	tap_failed += !passed;
}

/* @count; less of it where the kernel's command line has SO1_PORTION, the part that is enough there. */
__attribute__((unused)) static int portion(int count)
{
	const char *part = getenv("SO1_PORTION");

	return part && atoi(part) > 1 ? (count - 1) / atoi(part) + 1 : count;
}

__attribute__((unused)) static int tap_end(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("1..%d\n# %s: %.1f s\n", tap_count, program_invocation_short_name,
	       now.tv_sec - tap_began.tv_sec + (now.tv_nsec - tap_began.tv_nsec) / 1e9);
	fflush(stdout);
	return tap_failed ? 1 : 0;
}

#endif
