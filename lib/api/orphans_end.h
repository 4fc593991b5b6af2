/* SPDX-License-Identifier: MIT */
/* Ends the leases of processes that died with the store open. */
#ifndef EVQ__ORPHANS_END_H
#define EVQ__ORPHANS_END_H

#include "handles.h"

/* What cannot be done now is done by the next who looks. Cost: a system call for each other process, if none died. */
void evq__orphans_end(evq_env *env);

#endif
