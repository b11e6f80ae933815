/* SPDX-License-Identifier: GPL-2.0 */
/* Reading the files under /proc, a strict JSON checker, and fields of a process. */
#ifndef DOCUMENT_H
#define DOCUMENT_H

#include <ctype.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SYSINFO	 "/proc/sysinfo_so1_202300539"
#define CONTINFO "/proc/continfo_so1_202300539"
#define ROOM	 (8 << 20)

/* The whole document by reads of @chunk bytes, to be freed; NULL on an error. */
__attribute__((unused)) static char *document_read_fd(int fd, size_t chunk)
{
	char *text = malloc(ROOM);
	size_t length = 0;
	ssize_t got;

	while ((got = read(fd, text + length,
			   chunk < ROOM - 1 - length ? chunk : ROOM - 1 - length)) > 0)
		length += got;
	text[length] = 0;
	if (!got && length)
		return text;
	free(text);
	return NULL;
}

__attribute__((unused)) static char *document_read(const char *path)
{
	int fd = open(path, O_RDONLY);
	char *text = fd < 0 ? NULL : document_read_fd(fd, ROOM);

	if (fd >= 0)
		close(fd);
	return text;
}

/* Strict RFC 8259, and UTF-8 without overlong forms and surrogates; NULL where it breaks. */
static const unsigned char *json_value(const unsigned char *at);

static const unsigned char *json_string(const unsigned char *at)
{
	if (*at++ != '"')
		return NULL;
	while (*at != '"') {
		unsigned int rune, more, least, i;

		if (*at < 0x20)
			return NULL;
		if (*at == '\\') {
			at++;
			if (*at == 'u') {
				for (i = 1; i <= 4; i++)
					if (!isxdigit(at[i]))
						return NULL;
				if ((at[1] == 'd' || at[1] == 'D') && at[2] >= '8')
					return NULL;
				at += 5;
			} else if (*at && strchr("\"\\/bfnrt", *at)) {
				at++;
			} else {
				return NULL;
			}
			continue;
		}
		if (*at < 0x80) {
			at++;
			continue;
		}
		if (*at >= 0xc2 && *at < 0xe0) {
			more = 1;
			rune = *at & 31;
			least = 0x80;
		} else if (*at >= 0xe0 && *at < 0xf0) {
			more = 2;
			rune = *at & 15;
			least = 0x800;
		} else if (*at >= 0xf0 && *at < 0xf5) {
			more = 3;
			rune = *at & 7;
			least = 0x10000;
		} else {
			return NULL;
		}
		for (at++; more; more--, at++) {
			if ((*at & 0xc0) != 0x80)
				return NULL;
			rune = rune << 6 | (*at & 63);
		}
		if (rune < least || rune > 0x10ffff || (rune >= 0xd800 && rune < 0xe000))
			return NULL;
	}
	return at + 1;
}

static const unsigned char *json_value(const unsigned char *at)
{
	unsigned char close = *at == '{' ? '}' : ']';
	bool object = *at == '{';

	if (*at == '"')
		return json_string(at);
	if (!strncmp((const char *)at, "true", 4))
		return at + 4;
	if (!strncmp((const char *)at, "false", 5))
		return at + 5;
	if (*at == '-' && at[1] > '0' && at[1] <= '9') /* no -0 */
		at++;
	if (isdigit(*at)) {
		if (*at == '0' && isdigit(at[1]))
			return NULL;
		while (isdigit(*at))
			at++;
		return at;
	}
	if (*at != '{' && *at != '[')
		return NULL;
	if (*++at == close)
		return at + 1;
	for (;; at++) {
		if (object) {
			at = json_string(at);
			if (!at || *at++ != ':')
				return NULL;
		}
		at = json_value(at);
		if (!at)
			return NULL;
		if (*at == close)
			return at + 1;
		if (*at != ',')
			return NULL;
	}
}

__attribute__((unused)) static bool json_valid(const char *text)
{
	const unsigned char *end = json_value((const unsigned char *)text);

	return end && !strcmp((const char *)end, "\n");
}

/* Where the object of a process begins; NULL if it is not there. */
__attribute__((unused)) static const char *process_find(const char *text, int pid)
{
	char key[32];

	snprintf(key, sizeof(key), "{\"pid\":%d,", pid);
	return strstr(text, key);
}

/* A number of the process object at @process; -1 if it has no such key. */
__attribute__((unused)) static long long process_field(const char *process, const char *key)
{
	const char *end = process ? strchr(process, '}') : NULL, *at;
	char quoted[32];

	snprintf(quoted, sizeof(quoted), "\"%s\":", key);
	at = process ? strstr(process, quoted) : NULL;
	return at && at < end ? atoll(at + strlen(quoted)) : -1;
}

/* The container's id in the process object at @process, with its end quote; NULL if it has none. */
__attribute__((unused)) static const char *process_container(const char *process)
{
	static const char key[] = "\"container_id\":\"";
	const char *end = process ? strchr(process, '}') : NULL;
	const char *at = process ? strstr(process, key) : NULL;

	return at && at < end ? at + strlen(key) : NULL;
}

/* Every process at most once; they come in the order of their pids. */
__attribute__((unused)) static bool pids_ascend(const char *text)
{
	int last = 0;

	while ((text = strstr(text, "{\"pid\":"))) {
		int pid = atoi(text += 7);

		if (pid <= last)
			return false;
		last = pid;
	}
	return last > 0;
}

#endif
