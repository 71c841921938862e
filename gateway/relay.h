/*
 * gateway/relay.h - mode `relay`: the gateway as the untrusted host's front. It admits, limits,
 * routes and forwards sealed requests; it holds no key of ours and cannot open anything.
 */
#pragma once

#include "gateway/settings.h"

struct buf;

/* From settings to the end, with signals; *message says what to do about an error. */
err relay_run(const struct gateway_settings *settings, struct buf *message);
