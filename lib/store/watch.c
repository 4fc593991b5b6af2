/* SPDX-License-Identifier: MIT */
/*
 * Owns the descriptors of evq_queue_fd(), for programs that wait in poll(2) or epoll(7). One is an epoll descriptor
 * over two others: a watch on evq.shared, which posters write a byte to where such a descriptor is counted for the
 * queue; and a timer, for what comes due. So it needs no thread, crosses processes, and leaves nothing behind when
 * one dies.
 *
 * It is readable until a receive found the queue empty. The watch is emptied before that look, so what comes after
 * the look makes it readable again.
 */
#include "inside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>

struct evq__watch {
	struct evq__store *store;
	uint32_t queue;
	pthread_mutex_t lock; /* from a look's beginning to its end */
	int epoll, notify, timer;
};

static int
add(const struct evq__watch *w, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };
	return epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event) ? errno : 0;
}

/* The file that is open, whatever name it has by now. Source: proc(5), /proc/pid/fd. */
static int
open_notify(struct evq__watch *w)
{
	char name[40];
	(void)snprintf(name, sizeof name, "/proc/self/fd/%d", w->store->shared_fd);
	w->notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (w->notify < 0 || inotify_add_watch(w->notify, name, IN_MODIFY) < 0)
		return errno;
	return add(w, w->notify);
}

/* ms from now; 0 at once; INT64_MAX never. */
static void
set_timer(struct evq__watch *w, int64_t ms)
{
	struct itimerspec at = { { 0, 0 }, { 0, 0 } };
	if (ms < INT64_MAX) {
		at.it_value.tv_sec = (time_t)(ms / 1000);
		at.it_value.tv_nsec = ms > 0 ? (long)(ms % 1000) * 1000000 : 1;
	}
	(void)timerfd_settime(w->timer, 0, &at, NULL); /* fails for bad arguments only */
}

static int
open_all(struct evq__watch *w)
{
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (w->epoll < 0)
		return errno;
	w->timer = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (w->timer < 0)
		return errno;
	int rc = add(w, w->timer);
	if (!rc)
		rc = open_notify(w);
	if (!rc)
		set_timer(w, 0);
	return rc;
}

static void
close_all(struct evq__watch *w)
{
	int fds[] = { w->epoll, w->notify, w->timer };
	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	(void)pthread_mutex_destroy(&w->lock);
	free(w);
}

int
evq__watch_open(struct evq__store *s, uint32_t queue, struct evq__watch **out)
{
	struct evq__watch *w = malloc(sizeof *w);
	if (!w)
		return ENOMEM;
	*w = (struct evq__watch){ .store = s, .queue = queue, .epoll = -1, .notify = -1, .timer = -1 };
	int rc = pthread_mutex_init(&w->lock, NULL);
	if (rc) {
		free(w);
		return rc;
	}
	if ((rc = open_all(w))) {
		close_all(w);
		return rc;
	}
	evq__wake_poll(s, queue, 1);
	*out = w;
	return 0;
}

void
evq__watch_close(struct evq__watch *w, int is_store_open)
{
	if (is_store_open)
		evq__wake_poll(w->store, w->queue, -1);
	close_all(w);
}

int
evq__watch_fd(const struct evq__watch *w)
{
	return w->epoll;
}

void
evq__watch_begin(struct evq__watch *w)
{
	char events[1024];
	(void)pthread_mutex_lock(&w->lock);
	while (read(w->notify, events, sizeof events) > 0 || errno == EINTR)
		;
}

void
evq__watch_end(struct evq__watch *w, int64_t until_ms)
{
	set_timer(w, until_ms);
	(void)pthread_mutex_unlock(&w->lock);
}
#else
int
evq__watch_open(struct evq__store *s, uint32_t queue, struct evq__watch **out)
{
	(void)s, (void)queue, (void)out;
	return ENOTSUP;
}

void
evq__watch_close(struct evq__watch *w, int is_store_open)
{
	(void)w, (void)is_store_open;
}

int
evq__watch_fd(const struct evq__watch *w)
{
	(void)w;
	return -1;
}

void
evq__watch_begin(struct evq__watch *w)
{
	(void)w;
}

void
evq__watch_end(struct evq__watch *w, int64_t until_ms)
{
	(void)w, (void)until_ms;
}
#endif
