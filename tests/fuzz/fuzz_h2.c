/*
 * HTTP/2 frames into the server's end of a link. Laws: the same bytes in one piece or one by one
 * cause the same requests, bodies and ends to be reported; what waits to be sent stays bounded.
 * Each input is also run with answers being taken after every few bytes.
 */
#include <stdint.h>
#include <stdlib.h>

#include "wire/h2.h"

enum { OUT_MAX = 64 << 20 };

struct run {
    struct h2 *h2;
    struct buf account;
    size_t open_n;
    bool taking;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void must_be_ok(err e)
{
    must(err_is_ok(e));
}

static struct run *run_of(const struct link_stream *s)
{
    return h2_owner(h2_stream_connection(s));
}

static void note(struct run *r, const char *what, bytes text)
{
    must_be_ok(buf_add_str(&r->account, what));
    must_be_ok(buf_addf(&r->account, " %zu:", text.len));
    must_be_ok(buf_add(&r->account, text));
}

static void on_plain(void *owner)
{
    (void)owner;
}

static void on_request(void *owner, struct link_stream *s, const struct link_request *req)
{
    struct run *r = owner;
    r->open_n++;
    note(r, "request", req->method);
    note(r, "path", req->path);
    for (size_t i = 0; i < req->fields_n; i++) {
        note(r, "name", req->fields[i].name);
        note(r, "value", req->fields[i].value);
    }
    must(req->fields_n <= LINK_FIELDS_MAX);
    if (req->path.len == 2) {
        h2_stream_reset(s, LINK_CANCEL);
        r->open_n--;
        return;
    }
    (void)h2_stream_respond(s, 200, req->fields, req->fields_n, req->path.len == 3);
}

static void on_head(struct link_stream *s, unsigned status, const struct link_field *fields,
                    size_t n)
{
    (void)s;
    (void)status;
    (void)fields;
    (void)n;
    abort();
}

/* Pieces are not part of the account, their sum is; every stream keeps its own in its owner. */
static void on_data(struct link_stream *s, bytes in)
{
    uintptr_t sum = (uintptr_t)h2_stream_owner(s);
    h2_stream_set_owner(s, (void *)(sum + in.len));
    (void)h2_stream_write(s, in, false);
    h2_stream_consume(s, in.len / 2);
}

static void on_end(struct link_stream *s)
{
    struct run *r = run_of(s);
    must_be_ok(buf_addf(&r->account, "end %zu\n", (size_t)(uintptr_t)h2_stream_owner(s)));
    (void)h2_stream_write(s, BYTES_LIT("end"), true);
}

static void on_hungry(struct link_stream *s, size_t room)
{
    must(room > 0 && h2_stream_queued(s) == 0);
}

static void on_writable(struct link_stream *s)
{
    (void)h2_stream_write(s, BYTES_LIT("more"), false);
}

static void on_closed(struct link_stream *s, enum link_close why)
{
    struct run *r = run_of(s);
    must(r->open_n > 0);
    r->open_n--;
    if (!r->taking)
        must_be_ok(buf_addf(&r->account, "closed %d %u\n", (int)why, h2_stream_code(s)));
}

static const struct h2_events words = {
    .ready = on_plain,
    .leaving = on_plain,
    .wake = on_plain,
    .request = on_request,
    .head = on_head,
    .data = on_data,
    .end = on_end,
    .hungry = on_hungry,
    .writable = on_writable,
    .closed = on_closed,
};

static void take_all(struct run *r)
{
    struct buf out = BUF(OUT_MAX);
    bool more = true;
    while (more && err_is_ok(h2_take(r->h2, &out, 1 << 18, &more))) {
        must(out.len <= (1 << 18) + H2_OVER_MAX);
        out.len = 0;
    }
    h2_tell(r->h2);
    h2_reap(r->h2);
    buf_clear(&out);
}

static void run(struct run *r, bytes in, size_t piece, bool taking)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    const struct h2_settings settings = { .server = true,
                                          .streams_max = 16,
                                          .heads_per_s = 50,
                                          .settings_per_s = 5,
                                          .pings_per_s = 5,
                                          .resets_per_s = 5,
                                          .others_per_s = 50 };
    *r = (struct run){ .account = BUF(OUT_MAX), .taking = taking };
    must_be_ok(h2_new(&r->h2, &settings, &words, r));
    must_be_ok(h2_put(r->h2, bytes_of(preface, sizeof preface - 1), 0));
    for (size_t at = 0; at < in.len && !h2_flooded(r->h2); at += piece) {
        if (!err_is_ok(h2_put(r->h2, bytes_slice(in, at, piece), 0)))
            break;
        if (taking)
            take_all(r);
    }
    must(h2_streams(r->h2) <= 2 * settings.streams_max);
    if (taking)
        take_all(r);
}

static void finish(struct run *r)
{
    h2_lost(r->h2, 0);
    must(h2_streams(r->h2) == 0 && r->open_n == 0);
    h2_free(r->h2);
    buf_clear(&r->account);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run whole, single, taking;
    bytes in = bytes_of(data, size);
    run(&whole, in, SIZE_MAX / 2, false);
    run(&single, in, 1, false);
    run(&taking, in, 17, true);
    must(bytes_equal(buf_view(&whole.account), buf_view(&single.account)));
    finish(&whole);
    finish(&single);
    finish(&taking);
    return 0;
}
