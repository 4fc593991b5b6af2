/* SPDX-License-Identifier: MIT */
/* evq_verify(3). The findings are kept until the transaction is over, and told then. */
#include "verify.h"

#include <stdlib.h>

#include "run.h"

int
evq_verify(evq_env *env, evq_finding_fn *fn, void *arg)
{
	struct evq__flaws flaws = { .list = NULL };
	struct evq__run run;
	int rc = evq__run_survey(&run, env);
	if (rc)
		return rc;
	rc = evq__run_end(&run, evq__verify(run.call.txn, &flaws));
	for (size_t i = 0; !rc && fn && i < flaws.count && i < EVQ__FLAWS_MAX; i++) {
		const struct evq__flaw *f = &flaws.list[i];
		fn(&(evq_finding){ EVQ_CORRUPT, *f->queue ? f->queue : NULL, f->id, f->what }, arg);
	}
	free(flaws.list);
	return rc ? rc : flaws.count ? EVQ_CORRUPT : 0;
}
