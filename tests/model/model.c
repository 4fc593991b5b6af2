/* SPDX-License-Identifier: MIT */
/*
 * The store of the model: arrays that grow, searched from the front. A copy of
 * the whole is a snapshot; only the contents of messages, which never change,
 * are shared between copies and counted. Texts are interned and live as long
 * as the program, so that a message holds plain pointers to them.
 */
#include "model.h"

#include <stdlib.h>
#include <string.h>

static void *
need(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

static void *
duplicate(const void *data, size_t len)
{
	unsigned char *copy = need(malloc(len + 1));

	if (len > 0)
		memcpy(copy, data, len);
	copy[len] = 0;
	return copy;
}

const char *
model_intern(const char *text)
{
	static char **texts;
	static size_t count, cap;

	if (text == NULL)
		return NULL;
	for (size_t i = 0; i < count; i++)
		if (strcmp(texts[i], text) == 0)
			return texts[i];
	if (count == cap)
		texts = need(realloc(texts, (cap = cap * 2 + 64) * sizeof(*texts)));
	texts[count] = duplicate(text, strlen(text));
	return texts[count++];
}

/* ---- contents ---- */

static void
copy_attrs(struct m_content *content, const evq_attr *attrs, size_t count)
{
	content->attr_count = count;
	content->attrs = need(calloc(count + 1, sizeof(*content->attrs)));
	for (size_t i = 0; i < count; i++) {
		content->attrs[i].name = duplicate(attrs[i].name, strlen(attrs[i].name));
		content->attrs[i].value = duplicate(attrs[i].value, attrs[i].len);
		content->attrs[i].len = attrs[i].len;
	}
}

struct m_content *
model_content(const void *body, size_t len, const evq_send_opts *opts)
{
	struct m_content *content = need(calloc(1, sizeof(*content)));

	content->refs = 1;
	content->body = duplicate(body, len);
	content->len = len;
	content->group = opts == NULL ? NULL : model_intern(opts->group);
	copy_attrs(content, opts == NULL ? NULL : opts->attrs, opts == NULL ? 0 : opts->attr_count);
	return content;
}

void
model_content_free(struct m_content *content)
{
	if (--content->refs > 0)
		return;
	for (size_t i = 0; i < content->attr_count; i++) {
		free(content->attrs[i].name);
		free(content->attrs[i].value);
	}
	free(content->attrs);
	free(content->body);
	free(content);
}

/* ---- messages of a queue ---- */

struct m_msg *
model_msg(const struct m_queue *q, evq_id id)
{
	for (size_t i = 0; i < q->count; i++)
		if (q->msgs[i].id == id)
			return &q->msgs[i];
	return NULL;
}

/* Takes over the reference to the content. */
struct m_msg *
model__msg_add(struct m_queue *q, const struct m_msg *msg)
{
	if (q->count == q->cap)
		q->msgs = need(realloc(q->msgs, (q->cap = q->cap * 2 + 8) * sizeof(*q->msgs)));
	q->msgs[q->count] = *msg;
	return &q->msgs[q->count++];
}

void
model__msg_take(struct m_queue *q, evq_id id, struct m_msg *out)
{
	struct m_msg *msg = need(model_msg(q, id));

	model__turn_end(q, msg);
	*out = *msg;
	*msg = q->msgs[--q->count];
}

void
model__msg_drop(struct m_queue *q, evq_id id)
{
	struct m_msg msg;

	model__msg_take(q, id, &msg);
	model_content_free(msg.content);
}

void
model__queue_clear(struct m_queue *q)
{
	for (size_t i = 0; i < q->count; i++)
		model_content_free(q->msgs[i].content);
	q->count = q->tenant_count = 0;
}

/* ---- queues of the store ---- */

struct m_queue *
model_queue(const struct model *m, const char *name)
{
	for (size_t i = 0; i < m->queue_count; i++)
		if (strcmp(m->queues[i].name, name) == 0)
			return &m->queues[i];
	return NULL;
}

struct m_queue *
model_queue_uid(const struct model *m, uint64_t uid)
{
	for (size_t i = 0; i < m->queue_count; i++)
		if (m->queues[i].uid == uid)
			return &m->queues[i];
	return NULL;
}

/* Moves the array: pointers to queues taken before are void. */
struct m_queue *
model__queue_add(struct model *m, const char *name)
{
	struct m_queue *q;

	if (m->queue_count == m->queue_cap)
		m->queues = need(realloc(m->queues, (m->queue_cap = m->queue_cap * 2 + 8) * sizeof(*m->queues)));
	q = &m->queues[m->queue_count++];
	memset(q, 0, sizeof(*q));
	q->uid = ++m->last_uid;
	q->name = model_intern(name);
	return q;
}

/* ---- the whole ---- */

struct model *
model_new(void)
{
	return need(calloc(1, sizeof(struct model)));
}

static void
clone_queue(struct m_queue *to, const struct m_queue *from)
{
	*to = *from;
	to->cap = from->count;
	to->known_cap = from->known_count;
	to->tenant_cap = from->tenant_count;
	to->msgs = duplicate(from->msgs, from->count * sizeof(*to->msgs));
	to->known = duplicate(from->known, from->known_count * sizeof(*to->known));
	to->tenants = duplicate(from->tenants, from->tenant_count * sizeof(*to->tenants));
	for (size_t i = 0; i < to->count; i++)
		to->msgs[i].content->refs++;
	for (size_t i = 0; i < to->known_count; i++)
		if (to->known[i].content != NULL)
			to->known[i].content->refs++;
}

/* All that it holds; q itself is the array's. */
void
model__queue_free(struct m_queue *q)
{
	model__queue_clear(q);
	model__forget(q);
	free(q->msgs);
	free(q->known);
	free(q->tenants);
}

struct model *
model_clone(const struct model *m)
{
	struct model *copy = model_new();

	*copy = *m;
	copy->queue_cap = m->queue_count;
	copy->queues = need(malloc((m->queue_count + 1) * sizeof(*copy->queues)));
	for (size_t i = 0; i < m->queue_count; i++)
		clone_queue(&copy->queues[i], &m->queues[i]);
	memset(&copy->told, 0, sizeof(copy->told));
	model_events_copy(&copy->told, &m->told);
	return copy;
}

void
model_free(struct model *m)
{
	if (m == NULL)
		return;
	for (size_t i = 0; i < m->queue_count; i++)
		model__queue_free(&m->queues[i]);
	free(m->queues);
	free(m->told.at);
	free(m);
}
