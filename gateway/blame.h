/*
 * gateway/blame.h - what the head of a worker's answer says about the worker.
 *
 * Pure. The head came sealed, so it is the worker's own word: an answer without a receipt is of the
 * worker's own making, one with a receipt is its engine's.
 */
#pragma once

#include "gateway/balance.h"
#include "wire/bhttp.h"

/* A failure of the worker's own making is one; an engine's is bad only beside others. That the client is
 * to blame, or nobody, is well. */
enum balance_outcome blame_head(const struct bhttp_head *head);

/* The request was not acted on, and another worker may do better: the engine takes no more now (503), or
 * could not be reached (502 of the worker's own making); unless it says that asking again is no use. */
bool blame_is_undone(const struct bhttp_head *head);
