/* SPDX-License-Identifier: GPL-2.0 */
/* Writing JSON into memory that grows. Everything is static: each module stands alone. */
#ifndef SO1_JSON_H
#define SO1_JSON_H

#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/nls.h>
#include <linux/slab.h>
#include <linux/string.h>

#define SO1_DOCUMENT_FIRST SZ_8K
/*
 * Half a million processes with the longest of names, a million with usual
 * ones; beyond it a read fails with EFBIG.
 */
#define SO1_DOCUMENT_MAX SZ_512M

struct so1_document {
	struct mutex lock; /* serializes the readers of one open file */
	char *text;	   /* NULL: the next read makes a document */
	size_t size;	   /* allocated */
	size_t length;	   /* written */
};

/* Length of the last document, of whichever open file: about what the next will need. */
static size_t so1_document_length;

static size_t so1_first_size(void)
{
	size_t last = READ_ONCE(so1_document_length);

	return max_t(size_t, PAGE_ALIGN(last + last / 16), SO1_DOCUMENT_FIRST);
}

/*
 * Makes room for @more bytes. On success that many may be written at
 * text + length without another check.
 */
static int so1_reserve(struct so1_document *doc, size_t more)
{
	size_t size = doc->size ?: so1_first_size();
	char *text;

	if (doc->size - doc->length >= more)
		return 0;
	while (size - doc->length < more)
		size *= 2;
	if (doc->length + more > SO1_DOCUMENT_MAX)
		return -EFBIG;
	size = min_t(size_t, size, SO1_DOCUMENT_MAX);
	text = kvmalloc(size, GFP_KERNEL_ACCOUNT);
	if (!text) {
		WRITE_ONCE(so1_document_length, 0);
		return -ENOMEM;
	}
	if (doc->length)
		memcpy(text, doc->text, doc->length);
	kvfree(doc->text);
	doc->text = text;
	doc->size = size;
	return 0;
}

static void so1_forget(struct so1_document *doc)
{
	kvfree(doc->text);
	doc->text = NULL;
	doc->size = 0;
	doc->length = 0;
}

/* The writers below need room that so1_reserve() has made. */

static void so1_put(struct so1_document *doc, const char *text, size_t length)
{
	memcpy(doc->text + doc->length, text, length);
	doc->length += length;
}

#define so1_put_literal(doc, literal) so1_put(doc, literal, sizeof(literal) - 1)

/* A decimal number; vsnprintf() would be most of the cost of a document. */
static void so1_put_u64(struct so1_document *doc, u64 value)
{
	char digits[20];
	int at = sizeof(digits);

	do {
		digits[--at] = '0' + value % 10;
		value /= 10;
	} while (value);
	so1_put(doc, digits + at, sizeof(digits) - at);
}

#define so1_put_field(doc, key, value)                 \
	do {                                           \
		so1_put_literal(doc, ",\"" key "\":"); \
		so1_put_u64(doc, value);               \
	} while (0)

static inline void so1_put_s64(struct so1_document *doc, s64 value)
{
	if (value < 0)
		so1_put_literal(doc, "-");
	so1_put_u64(doc, value < 0 ? -(u64)value : value);
}

#define so1_put_signed_field(doc, key, value)          \
	do {                                           \
		so1_put_literal(doc, ",\"" key "\":"); \
		so1_put_s64(doc, value);               \
	} while (0)

/*
 * The inside of a JSON string. A backslash is doubled and a byte that is not
 * part of valid UTF-8 becomes \xNN, and only then is the text escaped as JSON:
 * the document is valid UTF-8 without lone surrogates, and the bytes can be
 * had back.
 */
static void so1_put_string(struct so1_document *doc, const char *text)
{
	static const char hex[] = "0123456789abcdef";
	int left = strlen(text);

	while (left) {
		u8 byte = *text;
		unicode_t rune;
		int used;

		if (byte == '\\') {
			so1_put_literal(doc, "\\\\\\\\");
			used = 1;
		} else if (byte == '"') {
			so1_put_literal(doc, "\\\"");
			used = 1;
		} else if (byte < 0x20 || byte == 0x7f) {
			so1_put_literal(doc, "\\u00");
			so1_put(doc, &hex[byte >> 4], 1);
			so1_put(doc, &hex[byte & 15], 1);
			used = 1;
		} else {
			used = utf8_to_utf32(text, left, &rune);
			if (used > 0) {
				so1_put(doc, text, used);
			} else {
				so1_put_literal(doc, "\\\\x");
				so1_put(doc, &hex[byte >> 4], 1);
				so1_put(doc, &hex[byte & 15], 1);
				used = 1;
			}
		}
		text += used;
		left -= used;
	}
}

#endif
