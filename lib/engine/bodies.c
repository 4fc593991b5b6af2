/* SPDX-License-Identifier: MIT */
/*
 * Owns evq.body. A record is head, group, attributes and body behind one another, cut into rows of equal
 * length where it is too long for one: written by a window that moves over the four of them, and read by
 * pouring the rows back into three buffers.
 */
#include "bodies.h"

#include <errno.h>
#include <string.h>

#include "key.h"

enum { PIECES = 4 };

/* The pieces of a record that lie in [at, at + len); returns how many. */
static size_t
cut(const struct evq__slice *all, uint64_t at, uint64_t len, struct evq__slice out[static PIECES])
{
	size_t n = 0;
	for (int i = 0; i < PIECES && len; i++) {
		if (at >= all[i].len) {
			at -= all[i].len;
			continue;
		}
		size_t here = all[i].len - (size_t)at;
		if (here > len)
			here = (size_t)len;
		out[n++] = (struct evq__slice){ (const char *)all[i].data + at, here };
		len -= here;
		at = 0;
	}
	return n;
}

int
evq__bodies_write(struct evq__call *call, uint64_t id, const struct evq__body *body)
{
	uint8_t head[EVQ__BODY_HEAD], key[EVQ__BODY_KEY];
	struct evq__slice all[PIECES] = { { head, sizeof head }, body->group, body->attrs, body->body };
	struct evq__slice some[PIECES];
	uint64_t total = 0;
	int rc = 0;
	evq__body_head_pack(id, body, head);
	for (int i = 0; i < PIECES; i++)
		total += all[i].len;
	uint32_t parts = evq__body_parts(total);
	for (uint32_t part = 0; !rc && part < parts; part++) {
		uint64_t at = (uint64_t)part * EVQ__PART_MAX;
		uint64_t len = parts > 1 && total - at > EVQ__PART_MAX ? EVQ__PART_MAX : total - at;
		size_t n = cut(all, at, len, some);
		evq__body_key(id, part, key);
		rc = evq__tree_append(call->txn, EVQ__BODY, key, sizeof key, some, n);
	}
	return rc;
}

/* The first row of id that is there, whatever its part. Errors: EVQ__NONE. */
static int
find_row(struct evq__txn *txn, uint64_t id, uint8_t key[static EVQ__BODY_KEY])
{
	struct evq__slice found, value;
	evq__body_key(id, 0, key);
	int rc = evq__tree_seek(txn, EVQ__BODY, key, EVQ__BODY_KEY, &found, &value);
	if (rc || found.len != EVQ__BODY_KEY || evq__be64_get(found.data) != id)
		return rc ? rc : EVQ__NONE;
	memcpy(key, found.data, EVQ__BODY_KEY);
	return 0;
}

/* A row that is missing is verify's to find, and no reason to keep the others. */
int
evq__bodies_remove(struct evq__call *call, uint64_t id, int parts)
{
	uint8_t key[EVQ__BODY_KEY];
	evq__body_key(id, 0, key);
	int rc = evq__tree_del(call->txn, EVQ__BODY, key, sizeof key);
	while (parts && (rc == 0 || rc == EVQ__NONE)) {
		if ((rc = find_row(call->txn, id, key)))
			break;
		rc = evq__tree_del(call->txn, EVQ__BODY, key, sizeof key);
	}
	return rc == EVQ__NONE ? 0 : rc;
}

/* Where the bytes of a record go. */
struct pour {
	struct {
		char *to;
		size_t room;
	} into[3];
	unsigned now;
};

static void
pour_bytes(struct pour *p, const uint8_t *from, size_t len)
{
	while (len) {
		while (p->now < 2 && p->into[p->now].room == 0)
			p->now++;
		size_t here = p->into[p->now].room < len ? p->into[p->now].room : len;
		memcpy(p->into[p->now].to, from, here);
		p->into[p->now].to += here;
		p->into[p->now].room -= here;
		from += here;
		len -= here;
	}
}

/* Room for len bytes and a NUL behind. */
static char *
make_room(struct evq_batch *b, size_t len)
{
	char *p = evq__batch_alloc(b, len + 1);
	if (p)
		p[len] = 0;
	return p;
}

/* Reads every row of id, the first of which is given, into p. */
static int
read_parts(struct evq__txn *txn, uint64_t id, struct evq__slice row, uint64_t total, struct pour *p)
{
	uint32_t parts = evq__body_parts(total);
	uint8_t want[EVQ__BODY_KEY];
	struct evq__slice key;
	for (uint32_t part = 0;; part++) {
		uint64_t len = parts > 1 && total > EVQ__PART_MAX ? EVQ__PART_MAX : total;
		size_t skip = part ? 0 : EVQ__BODY_HEAD;
		if (row.len != len)
			return EVQ_CORRUPT;
		pour_bytes(p, (const uint8_t *)row.data + skip, row.len - skip);
		total -= len;
		if (part + 1 == parts)
			return 0;
		int rc = evq__tree_next(txn, EVQ__BODY, &key, &row);
		if (rc)
			return rc == EVQ__NONE ? EVQ_CORRUPT : rc;
		evq__body_key(id, part + 1, want);
		if (key.len != sizeof want || memcmp(key.data, want, sizeof want))
			return EVQ_CORRUPT;
	}
}

static int
get_part(struct evq__txn *txn, uint64_t id, uint32_t part, struct evq__slice *row)
{
	uint8_t key[EVQ__BODY_KEY];
	evq__body_key(id, part, key);
	int rc = evq__tree_get(txn, EVQ__BODY, key, sizeof key, row);
	return rc == EVQ__NONE ? EVQ_CORRUPT : rc;
}

/* Is the last part where the head says? A length is not believed, and no memory asked for, before that. */
static int
check_end(struct evq__txn *txn, uint64_t id, const struct evq__slice *first, uint64_t total)
{
	uint32_t parts = evq__body_parts(total);
	struct evq__slice last;
	if (parts == 1)
		return first->len == total ? 0 : EVQ_CORRUPT;
	int rc = get_part(txn, id, parts - 1, &last);
	return rc ? rc : last.len == total - (uint64_t)(parts - 1) * EVQ__PART_MAX ? 0 : EVQ_CORRUPT;
}

/* To where evq__tree_next goes on with the second part. */
static int
stand_at_first(struct evq__txn *txn, uint64_t id, struct evq__slice *row)
{
	uint8_t from[EVQ__BODY_KEY];
	struct evq__slice key;
	evq__body_key(id, 0, from);
	return evq__tree_seek(txn, EVQ__BODY, from, sizeof from, &key, row);
}

/* The first part and its head, which can be believed as to lengths. */
static int
open_record(struct evq__txn *txn, uint64_t id, struct evq__slice *row, struct evq__body_head *head)
{
	int rc = get_part(txn, id, 0, row);
	if (!rc)
		rc = evq__body_head_unpack(row->data, row->len, head);
	if (rc)
		return rc == EVQ_FORMAT ? EVQ_CORRUPT : rc; /* another version in a store of this one is damage */
	uint64_t total = evq__body_total(head);
	if ((rc = check_end(txn, id, row, total)))
		return rc;
	return evq__body_parts(total) > 1 ? stand_at_first(txn, id, row) : 0;
}

static int
hand_out_attrs(struct evq_batch *b, const struct evq__slice *attrs, size_t count, evq_delivery *d)
{
	evq_attr *out = evq__batch_alloc(b, count * sizeof *out);
	size_t at = 0;
	if (!out)
		return ENOMEM;
	for (size_t i = 0; i < count; i++) {
		int rc = evq__attrs_next(attrs, &at, &out[i]);
		if (rc)
			return rc;
	}
	d->attrs = out;
	d->attr_count = count;
	return at == attrs->len ? 0 : EVQ_CORRUPT;
}

/* Needs: everything poured. */
static int
hand_out(struct evq_batch *b, const struct evq__body *body, evq_delivery *d)
{
	d->body = body->body.data;
	d->body_len = body->body.len;
	d->group = body->group.len ? body->group.data : NULL;
	return body->attr_count || body->attrs.len ? hand_out_attrs(b, &body->attrs, body->attr_count, d) : 0;
}

int
evq__bodies_read(struct evq__txn *txn, uint64_t id, struct evq_batch *b, evq_delivery *d)
{
	uint8_t first[16];
	struct evq__slice row;
	struct evq__body_head head;
	int rc = open_record(txn, id, &row, &head);
	if (rc)
		return rc;
	memcpy(first, row.data, sizeof first);
	char *body = make_room(b, head.body_len);
	char *group = head.group_len ? make_room(b, head.group_len) : body;
	char *attrs = head.attrs_len ? make_room(b, head.attrs_len) : body;
	if (!body || !group || !attrs)
		return ENOMEM;
	struct pour into = { { { group, head.group_len }, { attrs, head.attrs_len }, { body, head.body_len } }, 0 };
	if ((rc = read_parts(txn, id, row, evq__body_total(&head), &into)))
		return rc;
	struct evq__body whole = {
		head.attr_count, { group, head.group_len }, { attrs, head.attrs_len }, { body, head.body_len }
	};
	if (evq__body_check(id, first, &whole) != head.check)
		return EVQ_CORRUPT;
	return hand_out(b, &whole, d);
}

int
evq__bodies_group(struct evq__txn *txn, uint64_t id, struct evq__slice *group)
{
	struct evq__slice row;
	struct evq__body_head head;
	int rc = open_record(txn, id, &row, &head);
	if (!rc)
		*group = (struct evq__slice){ (const uint8_t *)row.data + EVQ__BODY_HEAD, head.group_len };
	return rc; /* a group is never longer than the first part */
}

/* The bytes of a row, of which skip are not of the body. */
static int
compare(const struct evq__slice *row, uint64_t *skip, const evq_buf *body, size_t *at)
{
	if (*skip >= row->len) {
		*skip -= row->len;
		return 0;
	}
	size_t len = row->len - (size_t)*skip;
	const char *from = (const char *)row->data + *skip;
	*skip = 0;
	if (len > body->len - *at)
		return 1;
	*at += len;
	return len && memcmp(from, (const char *)body->data + *at - len, len);
}

int
evq__bodies_may_be(struct evq__txn *txn, uint64_t id, const evq_buf *body, int *is)
{
	struct evq__slice row, key;
	struct evq__body_head head;
	size_t at = 0;
	int rc = open_record(txn, id, &row, &head);
	*is = 1;
	if (rc)
		return rc == EVQ_CORRUPT ? 0 : rc;
	uint64_t skip = evq__body_total(&head) - head.body_len;
	*is = head.body_len == body->len && !compare(&row, &skip, body, &at);
	for (uint32_t part = 1; !rc && *is && part < evq__body_parts(evq__body_total(&head)); part++)
		if (!(rc = evq__tree_next(txn, EVQ__BODY, &key, &row)))
			*is = !compare(&row, &skip, body, &at);
	return rc == EVQ__NONE ? 0 : rc;
}
