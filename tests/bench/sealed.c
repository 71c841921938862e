/*
 * A worker for measurements of what passes sealed traffic on: HTTP/2, one thread, no key. It opens
 * nothing, so requests need not be sealed; what they ask for stands in their body as for
 * bench-engine (tests/bench/engine.c), and answers have the same sizes and the same stamps.
 *
 *     bench-sealed PORT
 *
 * Prints the hint of the key that it pretends to have, then serves until it is killed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/loop.h"
#include "base/text.h"
#include "crypto/init.h"
#include "wire/keylist.h"
#include "wire/link.h"
#include "wire/names.h"

enum { START_MAX = 512, ANSWER_LEN = 1024, EVENT_LEN = 230 };

struct asked {
    struct link_stream *stream;
    struct loop_timer timer;
    char start[START_MAX]; /* of the body */
    size_t start_len;
    uint64_t events_left, gap_ms;
    bool hold;
    bool begun; /* a stream without a pace */
};

static struct loop *loop;
static struct buf keys = BUF(1024);
static uint8_t answer[ANSWER_LEN];

static void must(err e, const char *what)
{
    if (err_is_ok(e))
        return;
    (void)fprintf(stderr, "bench-sealed: %s: %s\n", what, err_text(e));
    exit(1);
}

static const struct link_field SEALED[] = {
    { BYTES_LIT(FIELD_CONTENT_TYPE), BYTES_LIT(MEDIA_OHTTP_CHUNKED_RES) },
    { BYTES_LIT(FIELD_INCREMENTAL), BYTES_LIT(INCREMENTAL_YES) },
};

/* ---- answers ---- */

static uint64_t steady_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static err put_event(struct asked *a)
{
    char event[EVENT_LEN + 1];
    memset(event, '.', EVENT_LEN);
    int n = snprintf(event, sizeof event, "@%016llu@", (unsigned long long)steady_us());
    event[n] = '.';
    a->events_left--;
    return link_stream_write(a->stream, bytes_of(event, EVENT_LEN),
                             a->events_left == 0 && !a->hold);
}

/* As many as may leave at once, for who has no pace. */
static void on_hungry(struct link_stream *s, size_t room)
{
    struct asked *a = link_stream_owner(s);
    for (size_t sent = 0; a->begun && a->events_left > 0 && sent < room; sent += EVENT_LEN) {
        if (!err_is_ok(put_event(a)))
            return;
    }
}

static void on_pace(struct loop_timer *t)
{
    struct asked *a = CONTAINER_OF(t, struct asked, timer);
    if (link_stream_queued(a->stream) < LINK_LOW)
        must(put_event(a), "an event");
    if (a->events_left > 0)
        loop_timer_start(loop, t, a->gap_ms, on_pace);
}

static uint64_t setting(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    uint64_t value;
    if (at == NULL)
        return 0;
    at += strlen(name);
    return text_u64(bytes_of(at, strspn(at, "0123456789")), &value) ? value : 0;
}

static void begin(struct asked *a)
{
    const char *mock = strstr(a->start, "\"mock\":\"");
    a->events_left = mock != NULL ? setting(mock, "n=") : 0;
    must(link_respond(a->stream, 200, SEALED, ARRAY_LEN(SEALED), false), "a head");
    if (a->events_left == 0) {
        must(link_stream_write(a->stream, BYTES_ARRAY(answer), true), "an answer");
        return;
    }
    a->gap_ms = setting(mock, "gap=");
    a->hold = setting(mock, "hold=") != 0;
    a->begun = a->gap_ms == 0;
    must(put_event(a), "the first event");
    if (a->gap_ms > 0 && a->events_left > 0)
        loop_timer_start(loop, &a->timer, a->gap_ms, on_pace);
}

/* ---- requests ---- */

static void on_request(struct link *k, void *owner, struct link_stream *s,
                       const struct link_request *req)
{
    static const struct link_field list[] = {
        { BYTES_LIT(FIELD_CONTENT_TYPE), BYTES_LIT(MEDIA_OHTTP_KEYS) },
    };
    (void)k;
    (void)owner;
    struct asked *a = calloc(1, sizeof *a);
    if (a == NULL)
        abort();
    a->stream = s;
    link_stream_set_owner(s, a);
    if (bytes_equal(req->method, BYTES_LIT("POST")))
        return;
    must(link_respond(s, 200, list, ARRAY_LEN(list), false), "the list of keys");
    must(link_stream_write(s, buf_view(&keys), true), "the list of keys");
}

static void on_data(struct link_stream *s, bytes in)
{
    struct asked *a = link_stream_owner(s);
    size_t room = START_MAX - 1 - a->start_len;
    size_t n = in.len < room ? in.len : room;
    memcpy(a->start + a->start_len, in.at, n);
    a->start_len += n;
    link_stream_consume(s, in.len);
}

static void on_end(struct link_stream *s)
{
    struct asked *a = link_stream_owner(s);
    if (a->start_len > 0)
        begin(a);
}

static void on_closed(struct link_stream *s, enum link_close why)
{
    struct asked *a = link_stream_owner(s);
    (void)why;
    loop_timer_stop(&a->timer);
    free(a);
}

static const struct link_events EVENTS = {
    .request = on_request, .data = on_data, .end = on_end, .hungry = on_hungry, .closed = on_closed
};

int main(int argc, char **argv)
{
    static const uint8_t public_key[32] = { 9 };
    struct key_config config = { .id = 1, .kem = 0x0020, .public_key = BYTES_ARRAY(public_key) };
    char hint[KEY_CONFIG_HINT_LEN + 1];
    char at[32];
    struct sock_addr addr;
    struct link_listener *listener;
    const struct link_limits limits = { .streams_max = 8192, .heads_per_s = 1000000 };
    if (argc != 2)
        return 2;
    config.suites[config.suites_n++] = (struct key_suite){ 1, 1 };
    must(crypto_init(), "start");
    must(keylist_write(&keys, &config, 1, KEYLIST_PREFIXED), "the list of keys");
    must(key_config_hint(&config, hint), "the hint");
    (void)snprintf(at, sizeof at, "127.0.0.1:%.5s", argv[1]);
    must(sock_addr_read(bytes_str(at), &addr), at);
    must(loop_new(&loop), "start");
    must(link_listen(&listener, loop, &addr, NULL, &limits, &EVENTS, NULL), at);
    (void)printf("%s\n", hint);
    (void)fflush(stdout);
    loop_run(loop);
    return 0;
}
