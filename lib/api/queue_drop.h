/* SPDX-License-Identifier: MIT */
/* Removing queues whose name is gone already. */
#ifndef EVQ__QUEUE_DROP_H
#define EVQ__QUEUE_DROP_H

#include "handles.h"

/* Finishes the drops that some process began and did not live to end. */
int evq__drop_finish_all(evq_env *env);

#endif
