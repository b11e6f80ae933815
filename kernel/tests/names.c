// SPDX-License-Identifier: GPL-2.0
/* Whatever a process calls itself, the document is valid and the name can be had back. */
#include <sys/prctl.h>

#include "document.h"
#include "tap.h"

#define COMM 16

/* The bytes a JSON string of ours stands for; @out has room for COMM. False where it is not one. */
static bool recover(const char *at, char out[COMM])
{
	char value[COMM * 6], *end = value;
	int length = 0, high;
	char *read;

	/* First what JSON does (only \", \\ and \u00NN are ever written) ... */
	for (; *at != '"' && end < value + sizeof(value) - 1; at++) {
		if (*at != '\\') {
			*end++ = *at;
		} else if (*++at != 'u') {
			*end++ = *at;
		} else {
			if (sscanf(at + 1, "00%2x", &high) != 1)
				return false;
			*end++ = high;
			at += 4;
		}
	}
	*end = 0;
	/* ... then what we do. */
	for (read = value; read < end && length < COMM - 1; length++) {
		if (*read != '\\') {
			out[length] = *read++;
		} else if (read[1] == '\\') {
			out[length] = '\\';
			read += 2;
		} else {
			if (read[1] != 'x' || sscanf(read + 2, "%2x", &high) != 1)
				return false;
			out[length] = high;
			read += 4;
		}
	}
	out[length] = 0;
	return read == end;
}

/* The raw JSON of our own name and the document around it. */
static char *own_name(const char *name, const char **json)
{
	char *text;

	prctl(PR_SET_NAME, name);
	text = document_read(SYSINFO);
	*json = text ? process_find(text, getpid()) : NULL;
	*json = *json ? strstr(*json, "\"name\":\"") : NULL;
	if (*json)
		*json += strlen("\"name\":\"");
	return text;
}

static bool survives(const char *name)
{
	char back[COMM], cut[COMM];
	const char *json;
	char *text = own_name(name, &json);
	bool fine = text && json && json_valid(text) && recover(json, back);

	snprintf(cut, sizeof(cut), "%s", name);
	fine = fine && !strcmp(back, cut);
	free(text);
	return fine;
}

static void written_as(const char *name, const char *expected)
{
	const char *json;
	char *text = own_name(name, &json);

	ok(json && !strncmp(json, expected, strlen(expected)) && json[strlen(expected)] == '"',
	   "is written as %s", expected);
	free(text);
}

int main(void)
{
	static const struct {
		const char *what, *name;
	} cases[] = {
		{"quotes and backslashes", "a\"b\\c\\\"\\\\"},
		{"what looks like an escape", "\\xff\\u0041\\\\x"},
		{"valid UTF-8", "\xc3\xb1\xe2\x82\xac\xf0\x9f\x98\x80"},
		{"UTF-8 cut by the end", "aaaaaaaaaaaaa\xe2\x82\xac"},
		{"an overlong slash", "\xc0\xaf\xe0\x80\xaf"},
		{"an overlong four", "\xf0\x80\x80\xaf"},
		{"a surrogate pair", "\xed\xa0\x80\xed\xb0\x80"},
		{"beyond the last code point", "\xf4\x90\x80\x80\xf5\xff\xfe"},
		{"the last code point", "\xf4\x8f\xbf\xbf"},
		{"lone continuation bytes", "\x80\xbf\x80"},
		{"starts without an end", "\xc3"
					  "a\xe2\x82z\xf0\x9f\x98"},
		{"control characters", "\x01\b\t\n\f\r\x1b\x7f"},
		{"JSON", "\"},{\"pid\":1,\""},
		{"nothing", ""},
		{"fifteen bad bytes",
		 "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"},
	};
	unsigned int byte, other, bad = 0, random_names = portion(2000);
	char name[COMM];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		ok(survives(cases[i].name), "%s", cases[i].what);
	for (byte = 1; byte < 256; byte++) {
		snprintf(name, sizeof(name), "a%cb%c", byte, byte);
		bad += !survives(name);
	}
	ok(!bad, "every byte from 1 to 255");
	srandom(2);
	for (other = bad = 0; other < random_names; other++) {
		for (i = 0; i < COMM - 1; i++)
			name[i] = 1 + random() % 255;
		name[i] = 0;
		bad += !survives(name);
	}
	ok(!bad, "%u names at random", random_names);
	written_as("a\\\xff", "a\\\\\\\\\\\\xff");
	written_as("\n\"\xc3\xb1", "\\u000a\\\"\xc3\xb1");
	return tap_end();
}
