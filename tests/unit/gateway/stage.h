/*
 * tests/unit/gateway/stage.h - a shard without a thread: its loop turns when the test says so, and a
 * client speaks HTTP to it over a unix socket.
 */
#pragma once

#include "gateway/shard.h"
#include "tests/lib/law.h"

struct stage {
    struct config config;
    struct gateway_settings settings;
    struct metering metering;
    struct admit admit;
    struct store *store;
    struct loop *control;
    struct shard_common common;
    struct shard *shard;
    char folder[64];
    char listen[96];
    struct buf answer; /* the latest, as it came */
    unsigned status;   /* of it */
};

/* flags: as on the gateway's command line, ended by NULL; NULL for none. tokens: lines of a tokens
 * file, or NULL. */
void stage_open(struct stage *s, const char *const *flags, const char *tokens);
void stage_close(struct stage *s);

/* Sends METHOD PATH with those header lines (each with its CRLF) and takes the whole answer. */
void stage_ask(struct stage *s, const char *method, const char *path, const char *headers);
/* The same for what is not answered at once, but leaves before the answer. */
void stage_ask_and_leave(struct stage *s, const char *method, const char *path);

/* The value of a header of the latest answer, in lower case; empty when absent. */
bytes stage_header(const struct stage *s, const char *name);
size_t stage_header_count(const struct stage *s, const char *name);
/* Its body. */
bytes stage_body(const struct stage *s);
bool stage_says(const struct stage *s, const char *text);
