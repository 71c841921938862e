/*
 * Every line goes through one buffer under one lock. Without batching it is drained at once, so the
 * buffer is empty as long as the descriptor takes what it gets. Draining asks poll() first and then
 * writes at most a page: what a pipe that polls writable takes without waiting even when the
 * descriptor is blocking, which we may not change, since other processes share it. Sockets are
 * written with MSG_DONTWAIT instead, because there a page may be too much.
 */
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/sock.h"
#include "base/text.h"

enum { WRITE_MAX = 4096, LINE_TAIL_MAX = 16, DROP_LINE_MAX = 128 };

/* What is behind: the end of a line, with or without the mark that it was cut. */
static const char line_cut[] = ",\"cut\":true}\n";

_Static_assert(sizeof line_cut <= LINE_TAIL_MAX, "a cut line must still fit");

const char *const log_level_words[] = { "none", "error", "warn", "info", "debug", NULL };

struct log {
    int fd;
    bool is_socket;
    enum log_level least;
    pthread_mutex_t lock;
    /* the rest is under the lock, but for `dropped`, which anyone may read */
    bool batched;
    _Atomic uint64_t dropped;
    uint64_t told; /* of those dropped, how many a line has told of */
    struct buf held;
    struct buf line;
};

err log_open(struct log **out, int fd, enum log_level least)
{
    struct stat st;
    struct log *log;
    ENSURE(fstat(fd, &st) == 0, SYSTEM);
    TRY(mem_new(&log));
    log->fd = fd;
    log->is_socket = S_ISSOCK(st.st_mode);
    log->least = least;
    log->held = BUF(LOG_HELD_MAX);
    log->line = BUF(LOG_LINE_MAX - LINE_TAIL_MAX);
    if (pthread_mutex_init(&log->lock, NULL) != 0) {
        mem_free(log);
        FAIL(SYSTEM);
    }
    *out = log;
    return OK;
}

/* Bytes written; 0 when it would block; below 0 when the descriptor is of no more use. */
static ssize_t write_some(const struct log *log)
{
    size_t n = log->held.len < WRITE_MAX ? log->held.len : WRITE_MAX;
    struct pollfd p = { .fd = log->fd, .events = POLLOUT };
    ssize_t done;
    if (log->is_socket) {
        done = send(log->fd, log->held.at, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else {
        if (poll(&p, 1, 0) <= 0)
            return 0;
        done = write(log->fd, log->held.at, n);
    }
    if (done < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS))
        return 0;
    return done;
}

/* A descriptor that fails for good (its reader is gone) is like one that is full for ever. */
static void drain(struct log *log)
{
    while (log->held.len > 0) {
        ssize_t n = write_some(log);
        if (n <= 0)
            return;
        buf_drop(&log->held, (size_t)n);
    }
}

static bool put_time(struct log *log)
{
    char now[CLOCK_UTC_TEXT_LEN];
    clock_utc_text(clock_wall_ms(), now);
    return err_is_ok(buf_add_str(&log->line, "{\"time\":\"")) &&
           err_is_ok(buf_add_str(&log->line, now)) && err_is_ok(buf_add_u8(&log->line, '"'));
}

/* True when all that was dropped has been told of. */
static bool tell_drops(struct log *log)
{
    uint64_t dropped = atomic_load(&log->dropped);
    if (dropped == log->told)
        return true;
    if (log->held.max - log->held.len < DROP_LINE_MAX)
        return false;
    buf_truncate(&log->line, 0);
    bool fits = put_time(log) &&
                err_is_ok(buf_addf(&log->line,
                                   ",\"level\":\"warn\",\"event\":\"log lines "
                                   "dropped\",\"lines\":%llu}\n",
                                   (unsigned long long)(dropped - log->told))) &&
                err_is_ok(buf_add(&log->held, buf_view(&log->line)));
    if (fits)
        log->told = dropped;
    return fits;
}

void log_flush(struct log *log)
{
    if (log == NULL)
        return;
    (void)pthread_mutex_lock(&log->lock);
    drain(log);
    if (tell_drops(log))
        drain(log);
    (void)pthread_mutex_unlock(&log->lock);
}

void log_close(struct log *log)
{
    if (log == NULL)
        return;
    log_flush(log);
    (void)pthread_mutex_destroy(&log->lock);
    buf_clear(&log->held);
    buf_clear(&log->line);
    mem_free(log);
}

void log_batch(struct log *log, bool on)
{
    if (log == NULL)
        return;
    (void)pthread_mutex_lock(&log->lock);
    log->batched = on;
    (void)pthread_mutex_unlock(&log->lock);
}

uint64_t log_dropped(const struct log *log)
{
    return log == NULL ? 0 : atomic_load(&log->dropped);
}

static bool is_id_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

bool log_id_set(struct log_id *id, bytes text)
{
    *id = (struct log_id){ 0 };
    if (text.len == 0 || text.len > LOG_ID_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_id_char(text.at[i]))
            return false;
    }
    memcpy(id->text, text.at, text.len);
    return true;
}

bool log_wants(const struct log *log, enum log_level level)
{
    return log != NULL && level != LOG_LEVEL_NONE && level <= log->least;
}

static err put_quoted(struct buf *out, const char *text)
{
    if (text == NULL || text[0] == 0)
        return buf_add_str(out, "null");
    return text_json_quote(out, bytes_str(text));
}

/* The folder and the name of a source file, whatever path the compiler was given. */
static const char *short_path(const char *path)
{
    const char *name = strrchr(path, '/');
    if (name == NULL)
        return path;
    while (name > path && name[-1] != '/')
        name--;
    return name;
}

static err put_err(struct buf *out, err e)
{
    const struct err_origin *from = err_origin();
    TRY(put_quoted(out, err_word(e)));
    if (err_is_ok(e) || from->code != e.code || from->file == NULL)
        return OK;
    return buf_addf(out, ",\"origin\":\"%s:%d\"", short_path(from->file), from->line);
}

static err put_hex(struct buf *out, const uint8_t *at, size_t len)
{
    TRY(buf_add_u8(out, '"'));
    TRY(text_hex_encode(out, bytes_of(at, len < LOG_HEX_MAX ? len : LOG_HEX_MAX)));
    return buf_add_u8(out, '"');
}

static err put_addr(struct buf *out, const struct sock_addr *addr)
{
    BUF_AUTO text = BUF(SOCK_TEXT_MAX);
    if (addr == NULL)
        return buf_add_str(out, "null");
    TRY(sock_addr_write(addr, &text));
    return text_json_quote(out, buf_view(&text));
}

static err put_value(struct buf *out, const struct log_field *f)
{
    switch (f->kind) {
    case LOG_KIND_U64:
        return buf_addf(out, "%llu", (unsigned long long)f->as.u64);
    case LOG_KIND_I64:
        return buf_addf(out, "%lld", (long long)f->as.i64);
    case LOG_KIND_BOOL:
        return buf_add_str(out, f->as.truth ? "true" : "false");
    case LOG_KIND_WORD:
        return put_quoted(out, f->as.word.text);
    case LOG_KIND_ID:
        return put_quoted(out, f->as.id != NULL ? f->as.id->text : NULL);
    case LOG_KIND_HEX:
        return put_hex(out, f->as.hex, f->len);
    case LOG_KIND_ERR:
        return put_err(out, f->as.error);
    case LOG_KIND_ERRNO:
        return put_quoted(out, strerrorname_np(f->as.number));
    case LOG_KIND_ADDR:
        return put_addr(out, f->as.addr);
    case LOG_KIND_NONE:
        return buf_add_str(out, "null");
    }
    FAIL(INTERNAL);
}

static err put_field(struct buf *out, const struct log_field *f)
{
    TRY(buf_add_str(out, ",\""));
    TRY(buf_add_str(out, f->key));
    TRY(buf_add_str(out, "\":"));
    return put_value(out, f);
}

/* Fields that do not fit are left out, whole. */
static err put_fields(struct buf *out, const struct log_field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t before = out->len;
        if (fields[i].key == NULL || err_is_ok(put_field(out, &fields[i])))
            continue;
        buf_truncate(out, before);
        FAIL(LIMIT);
    }
    return OK;
}

/* False, with nothing added, when there is no room. */
static bool compose(struct log *log, enum log_level level, const char *event,
                    const struct log_field *fields, size_t n)
{
    buf_truncate(&log->line, 0);
    if (!put_time(log))
        return false;
    if (!err_is_ok(buf_addf(&log->line, ",\"level\":\"%s\",\"event\":", log_level_words[level])) ||
        !err_is_ok(text_json_quote(&log->line, bytes_str(event))))
        return false;
    bool whole = err_is_ok(put_fields(&log->line, fields, n));
    size_t before = log->held.len;
    if (err_is_ok(buf_add(&log->held, buf_view(&log->line))) &&
        err_is_ok(buf_add_str(&log->held, whole ? "}\n" : line_cut)))
        return true;
    buf_truncate(&log->held, before);
    return false;
}

void log_write(struct log *log, enum log_level level, const char *event,
               const struct log_field *fields, size_t n)
{
    if (!log_wants(log, level))
        return;
    (void)pthread_mutex_lock(&log->lock);
    if (log->held.max - log->held.len < LOG_LINE_MAX)
        drain(log);
    if (!tell_drops(log) || !compose(log, level, event, fields, n))
        atomic_fetch_add(&log->dropped, 1);
    if (!log->batched || level == LOG_LEVEL_ERROR || log->held.len > LOG_HELD_MAX / 2)
        drain(log);
    (void)pthread_mutex_unlock(&log->lock);
}
