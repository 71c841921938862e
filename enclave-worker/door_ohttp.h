/*
 * enclave-worker/door_ohttp.h - Oblivious HTTP, both forms: a request and an answer in Binary HTTP.
 * For door.c.
 */
#pragma once

#include "enclave-worker/door.h"

err door_ohttp_new(struct door **out, struct worker *w, enum door_kind kind,
                   const struct link_request *req);
