/* SPDX-License-Identifier: MIT */
/* The life of an env, for the handles that refer to it. */
#ifndef EVQ__ENV_H
#define EVQ__ENV_H

#include "handles.h"

void evq__env_hold(evq_env *env);
void evq__env_release(evq_env *env);
/* Closes the store itself: at evq_env_close, or after it when a transaction of another thread was open. */
void evq__env_end(evq_env *env);

#endif
