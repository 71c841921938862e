/*
 * base/log.h - what happened, as JSON lines with typed fields.
 *
 *     LOG_INFO(log, "exchange settled", F_U64("ms", t), F_WORD("route", "chat"), F_ERR(e));
 *     {"time":"2026-11-20T08:51:13.042Z","level":"info","event":"exchange settled","ms":12,...}
 *
 * The event and every key is a literal. There is no field for bytes or for text from outside: a
 * prompt cannot be logged by mistake, because that does not compile.
 *
 * A logger may be shared by threads; each line stays whole. It never waits: what the descriptor
 * does not take is held up to LOG_HELD_MAX bytes, and lines beyond that are dropped and counted;
 * the count is a line of its own when there is room again. A NULL logger is silent.
 *
 * ERROR: someone must act. WARN: a peer misbehaved. INFO: one line per exchange and per change of
 * trust. DEBUG: for development.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum {
    LOG_LINE_MAX = 2048,      /* a longer line loses its last fields and gains "cut":true */
    LOG_HELD_MAX = 64 * 1024, /* bytes waiting for the descriptor */
    LOG_ID_MAX = 63,          /* characters of an id */
    LOG_HEX_MAX = 64,         /* bytes shown by F_HEX */
};

enum log_level {
    LOG_LEVEL_NONE = 0,
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG
};

/* For a setting of type CONFIG_WORD: "none", "error", "warn", "info", "debug"; ends with NULL. */
extern const char *const log_level_words[];

struct log;
struct sock_addr;

/* Writes to fd, which is borrowed and is not changed in any way. Lines above `least` are left out.
 */
err log_open(struct log **out, int fd, enum log_level least);

/* Writes what the descriptor takes of what is held, then releases. */
void log_close(struct log *log);

/* With `on`, lines wait for log_flush() (the owners' hooks with LOOP_ORDER_END), except errors, or
 * half a full buffer. Off at first: each line is written at once. */
void log_batch(struct log *log, bool on);
void log_flush(struct log *log);

/* Lines dropped since log_open(). */
uint64_t log_dropped(const struct log *log);

/* An id that may be logged: 1 to LOG_ID_MAX characters of [A-Za-z0-9._-]. Zero is none. */
struct log_id {
    char text[LOG_ID_MAX + 1];
};

/* False, and *id made empty, when the text is anything else. */
bool log_id_set(struct log_id *id, bytes text);

/* A text that stands in this program's source: made by WORD("..."), or of one that a header of ours says
 * is static, and of nothing else. */
struct word {
    const char *text;
};

#define WORD(literal) ((struct word){ "" literal })
#define WORD_INIT(literal)                                                                         \
    {                                                                                              \
        "" literal                                                                                 \
    } /* in a static table */

enum log_kind {
    LOG_KIND_NONE = 0,
    LOG_KIND_U64,
    LOG_KIND_I64,
    LOG_KIND_BOOL,
    LOG_KIND_WORD,
    LOG_KIND_ID,
    LOG_KIND_HEX,
    LOG_KIND_ERR,
    LOG_KIND_ERRNO,
    LOG_KIND_ADDR,
};

/* Made by the F_ macros only. */
struct log_field {
    const char *key;
    enum log_kind kind;
    size_t len;
    union {
        uint64_t u64;
        int64_t i64;
        bool truth;
        struct word word;
        const struct log_id *id;
        const uint8_t *hex;
        err error;
        int number;
        const struct sock_addr *addr;
    } as;
};

#define F_U64(k, v)                                                                                \
    {                                                                                              \
        .key = "" k, .kind = LOG_KIND_U64, .as.u64 = (v)                                           \
    }
#define F_I64(k, v)                                                                                \
    {                                                                                              \
        .key = "" k, .kind = LOG_KIND_I64, .as.i64 = (v)                                           \
    }
#define F_BOOL(k, v)                                                                               \
    {                                                                                              \
        .key = "" k, .kind = LOG_KIND_BOOL, .as.truth = (v)                                        \
    }
/* A literal. */
#define F_WORD(k, literal)                                                                         \
    {                                                                                              \
        .key = "" k, .kind = LOG_KIND_WORD, .as.word = { "" literal }                              \
    }
/* A struct word, from a table or a function. */
#define F_WORD_OF(k, w)                                                                            \
    {                                                                                              \
        .key = "" k, .kind = LOG_KIND_WORD, .as.word = (w)                                         \
    }
/* A struct log_id *; an empty one is null. */
#define F_ID(k, v)                                                                                 \
    {                                                                                              \
        .key = "" k, .kind = LOG_KIND_ID, .as.id = (v)                                             \
    }
/* The first LOG_HEX_MAX of n bytes of something public, such as a digest. */
#define F_HEX(k, v, n)                                                                             \
    {                                                                                              \
        .key = "" k, .kind = LOG_KIND_HEX, .len = (n), .as.hex = (v)                               \
    }
/* "error":"TIMEOUT" and, while it is this thread's latest, "origin":"wire/link.c:120". */
#define F_ERR(e)                                                                                   \
    {                                                                                              \
        .key = "error", .kind = LOG_KIND_ERR, .as.error = (e)                                      \
    }
/* "errno":"ECONNREFUSED". */
#define F_ERRNO(n)                                                                                 \
    {                                                                                              \
        .key = "errno", .kind = LOG_KIND_ERRNO, .as.number = (n)                                   \
    }
/* A const struct sock_addr * of ours: configured, not a client's. */
#define F_ADDR(k, v)                                                                               \
    {                                                                                              \
        .key = "" k, .kind = LOG_KIND_ADDR, .as.addr = (v)                                         \
    }

/* The first field is a dummy, so that a line may have none. */
#define LOG_LINE(log, level, event, ...)                                                           \
    do {                                                                                           \
        if (log_wants((log), (level))) {                                                           \
            const struct log_field log_fields[] = { { .key = NULL }, ##__VA_ARGS__ };              \
            log_write((log), (level), "" event, log_fields,                                        \
                      sizeof log_fields / sizeof log_fields[0]);                                   \
        }                                                                                          \
    } while (0)

#define LOG_ERROR(log, event, ...) LOG_LINE(log, LOG_LEVEL_ERROR, event, ##__VA_ARGS__)
#define LOG_WARN(log, event, ...) LOG_LINE(log, LOG_LEVEL_WARN, event, ##__VA_ARGS__)
#define LOG_INFO(log, event, ...) LOG_LINE(log, LOG_LEVEL_INFO, event, ##__VA_ARGS__)
#define LOG_DEBUG(log, event, ...) LOG_LINE(log, LOG_LEVEL_DEBUG, event, ##__VA_ARGS__)

/* False for a NULL logger. */
bool log_wants(const struct log *log, enum log_level level);

/* What the macros call. */
void log_write(struct log *log, enum log_level level, const char *event,
               const struct log_field *fields, size_t n);
