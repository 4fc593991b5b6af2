/* SPDX-License-Identifier: MIT */
/* evq_stats(3). */
#include "stats.h"

#include <errno.h>

#include "bounds.h"
#include "opts.h"
#include "run.h"

int
evq_queue_stats(evq_queue *q, evq_stats *out)
{
	struct evq__run run;
	evq_stats s;
	int rc = evq__queue_check(q);
	if (!rc && (!out || out->size < EVQ__STATS_FIRST))
		rc = EINVAL;
	if (!rc)
		rc = evq__run_survey_queue(&run, q);
	if (rc)
		return rc;
	rc = evq__run_end(&run, evq__stats(&run.call, &s));
	return rc ? rc : evq__opts_store(out, &s, sizeof s, EVQ__STATS_FIRST);
}
