/* SPDX-License-Identifier: MIT */
/* Owns the bytes of evq.body's values; the shapes stand in body.h. Nothing read is believed unchecked. */
#include "body.h"

#include <errno.h>
#include <string.h>

#include "hash.h"

enum { VERSION = 1, CHECKED = 16 };

static uint64_t
chain(uint64_t check, const struct evq__slice *s)
{
	return s->len ? evq__hash(s->data, s->len, check) : check;
}

uint64_t
evq__body_check(uint64_t id, const uint8_t head[static 16], const struct evq__body *b)
{
	uint64_t check = evq__hash(head, CHECKED, id);
	check = chain(check, &b->group);
	check = chain(check, &b->attrs);
	return chain(check, &b->body);
}

void
evq__body_head_pack(uint64_t id, const struct evq__body *b, uint8_t out[static EVQ__BODY_HEAD])
{
	out[0] = VERSION;
	out[1] = b->attr_count;
	evq__le16_put(out + 2, (uint16_t)b->group.len);
	evq__le32_put(out + 4, (uint32_t)b->attrs.len);
	evq__le32_put(out + 8, (uint32_t)b->body.len);
	evq__le32_put(out + 12, 0);
	evq__le64_put(out + CHECKED, evq__body_check(id, out, b));
}

int
evq__body_head_unpack(const void *value, size_t len, struct evq__body_head *out)
{
	const uint8_t *p = value;
	if (len < EVQ__BODY_HEAD)
		return EVQ_CORRUPT;
	if (p[0] != VERSION)
		return EVQ_FORMAT;
	out->attr_count = p[1];
	out->group_len = evq__le16_get(p + 2);
	out->attrs_len = evq__le32_get(p + 4);
	out->body_len = evq__le32_get(p + 8);
	out->check = evq__le64_get(p + CHECKED);
	if (out->attr_count > EVQ_ATTRS_MAX || out->group_len > EVQ_GROUP_MAX ||
	    out->attrs_len > EVQ_ATTRS_LEN_MAX || out->body_len > EVQ_BODY_MAX)
		return EVQ_CORRUPT;
	return 0;
}

uint64_t
evq__body_total(const struct evq__body_head *h)
{
	return (uint64_t)EVQ__BODY_HEAD + h->group_len + h->attrs_len + h->body_len;
}

int
evq__attrs_measure(const evq_attr *attrs, size_t count, size_t *len_out)
{
	size_t total = 0;
	if (count && !attrs)
		return EINVAL;
	if (count > EVQ_ATTRS_MAX)
		return EVQ_TOOBIG;
	for (size_t i = 0; i < count; i++) {
		if (!attrs[i].name || !*attrs[i].name || (!attrs[i].value && attrs[i].len))
			return EINVAL;
		size_t name_len = strnlen(attrs[i].name, EVQ_ATTR_NAME_MAX + 1);
		if (name_len > EVQ_ATTR_NAME_MAX || attrs[i].len > EVQ_ATTRS_LEN_MAX)
			return EVQ_TOOBIG;
		total += EVQ__ATTR_HEAD + name_len + 1 + attrs[i].len + 1;
	}
	if (total > EVQ_ATTRS_LEN_MAX)
		return EVQ_TOOBIG;
	*len_out = total;
	return 0;
}

void
evq__attrs_pack(const evq_attr *attrs, size_t count, uint8_t *out)
{
	for (size_t i = 0; i < count; i++) {
		size_t name_len = strlen(attrs[i].name);
		evq__le16_put(out, (uint16_t)name_len);
		evq__le32_put(out + 2, (uint32_t)attrs[i].len);
		memcpy(out + EVQ__ATTR_HEAD, attrs[i].name, name_len + 1);
		out += EVQ__ATTR_HEAD + name_len + 1;
		if (attrs[i].len)
			memcpy(out, attrs[i].value, attrs[i].len);
		out += attrs[i].len;
		*out++ = 0;
	}
}

int
evq__attrs_next(const struct evq__slice *attrs, size_t *at, evq_attr *out)
{
	const uint8_t *p = (const uint8_t *)attrs->data + *at;
	size_t left = attrs->len - *at;
	if (left < EVQ__ATTR_HEAD)
		return EVQ_CORRUPT;
	size_t name_len = evq__le16_get(p), value_len = evq__le32_get(p + 2);
	left -= EVQ__ATTR_HEAD;
	if (name_len == 0 || left < name_len + 2 || left - name_len - 2 < value_len)
		return EVQ_CORRUPT;
	p += EVQ__ATTR_HEAD;
	if (memchr(p, 0, name_len + 1) != p + name_len || p[name_len + 1 + value_len])
		return EVQ_CORRUPT;
	*out = (evq_attr){ (const char *)p, p + name_len + 1, value_len };
	*at += EVQ__ATTR_HEAD + name_len + 1 + value_len + 1;
	return 0;
}
