/* SPDX-License-Identifier: MIT */
/* evq_fd(3): a queue's descriptor for poll(2) and event loops. What it is made of is watch.c's. */
#include <errno.h>

#include "run.h"

/* Needs: q's lock. */
static int
make_watch(evq_queue *q)
{
	struct evq__watch *watch;
	if (q->watch)
		return 0;
	int rc = evq__watch_open(q->env->store, q->number, &watch);
	if (!rc)
		q->watch = watch;
	return rc;
}

int
evq_queue_fd(evq_queue *q, int *out)
{
	struct evq__run run;
	int rc = evq__queue_check(q);
	if (!rc && !out)
		rc = EINVAL;
	if (!rc && !(rc = evq__run_read_queue(&run, q))) /* is it there? */
		rc = evq__run_end(&run, 0);
	if (rc)
		return rc;
	(void)pthread_mutex_lock(&q->lock);
	if (!(rc = make_watch(q)))
		*out = evq__watch_fd(q->watch);
	(void)pthread_mutex_unlock(&q->lock);
	return rc;
}
