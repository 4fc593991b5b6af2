/* SPDX-License-Identifier: MIT */
/* evq_receipt(3): receipts as text, four groups of 16 hexadecimal digits. */
#include <errno.h>
#include <string.h>

#include <evq.h>

enum { GROUP = 17 }; /* 16 digits and what follows them */

static int
digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int
evq_receipt_format(const evq_receipt *r, char text[EVQ_RECEIPT_TEXT])
{
	if (!r || !text)
		return EINVAL;
	for (int i = 0; i < 4; i++) {
		for (int k = 0; k < 16; k++)
			text[i * GROUP + k] = "0123456789abcdef"[r->w[i] >> (60 - 4 * k) & 15];
		text[i * GROUP + 16] = i < 3 ? '-' : 0;
	}
	return 0;
}

int
evq_receipt_parse(const char *text, evq_receipt *out)
{
	evq_receipt r = { { 0 } };
	if (!text || !out || strnlen(text, EVQ_RECEIPT_TEXT) != EVQ_RECEIPT_TEXT - 1)
		return EINVAL;
	for (int i = 0; i < 4; i++) {
		for (int k = 0; k < 16; k++) {
			int digit = digit_of(text[i * GROUP + k]);
			if (digit < 0)
				return EINVAL;
			r.w[i] = r.w[i] << 4 | (uint64_t)digit;
		}
		if (i < 3 && text[i * GROUP + 16] != '-')
			return EINVAL;
	}
	*out = r;
	return 0;
}
