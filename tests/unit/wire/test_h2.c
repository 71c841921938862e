#include <stdio.h>

#include "base/mem.h"
#include "tests/lib/law.h"
#include "wire/h2.h"

/* Two ends in memory. What each is told is written down as one line per callback; of a body only
 * the sum of its pieces, so that the account does not depend on how it was cut. */
struct end {
    struct h2 *h2;
    struct buf account;
    struct link_stream *stream; /* the latest */
    size_t body_n, wakes, requests_n;
    enum link_close why;
    bool answer, eager, silent;
    size_t to_make, makes_n, least_room; /* of a body that is made as it is sent */
    bool gives_up;                       /* when it should be made */
};

static void note(struct end *e, const char *what, bytes text)
{
    if (e->silent)
        return;
    CHECK_OK(buf_addf(&e->account, "%s ", what));
    CHECK_OK(buf_add(&e->account, text));
    CHECK_OK(buf_add_u8(&e->account, '\n'));
}

static void note_numbers(struct end *e, const char *what, size_t a, size_t b)
{
    if (e->silent)
        return;
    CHECK_OK(buf_addf(&e->account, "%s %zu", what, a));
    if (b > 0)
        CHECK_OK(buf_addf(&e->account, " %zu", b));
    CHECK_OK(buf_add_u8(&e->account, '\n'));
}

static struct end *end_of(const struct link_stream *s)
{
    return h2_owner(h2_stream_connection(s));
}

static void on_ready(void *owner)
{
    note(owner, "ready", (bytes){ 0 });
}

static void on_leaving(void *owner)
{
    note(owner, "leaving", (bytes){ 0 });
}

static void on_wake(void *owner)
{
    ((struct end *)owner)->wakes++;
}

static void on_request(void *owner, struct link_stream *s, const struct link_request *req)
{
    struct end *e = owner;
    e->stream = s;
    e->requests_n++;
    note(e, "request", req->path);
    for (size_t i = 0; i < req->fields_n; i++) {
        note(e, "name", req->fields[i].name);
        note(e, "value", req->fields[i].value);
    }
    if (e->answer)
        CHECK_OK(h2_stream_respond(s, 200, NULL, 0, false));
}

static void on_head(struct link_stream *s, unsigned status, const struct link_field *fields,
                    size_t n)
{
    (void)fields;
    note_numbers(end_of(s), "head", status, n);
}

static void on_data(struct link_stream *s, bytes in)
{
    struct end *e = end_of(s);
    e->body_n += in.len;
    if (e->eager)
        h2_stream_consume(s, in.len);
}

static void on_end(struct link_stream *s)
{
    struct end *e = end_of(s);
    note_numbers(e, "end", e->body_n, 0);
    if (e->answer)
        CHECK_OK(h2_stream_write(s, BYTES_LIT("answer"), true));
}

/* Makes at most a third more than there is room for. */
static void on_hungry(struct link_stream *s, size_t room)
{
    static const uint8_t some[LINK_FRAME_MAX];
    struct end *e = end_of(s);
    if (e->gives_up)
        h2_stream_reset(s, LINK_CANCEL);
    if (e->to_make == 0)
        return;
    CHECK(h2_stream_queued(s) == 0 && room > 0 && room <= LINK_FRAME_MAX);
    e->makes_n++;
    if (e->makes_n == 1 || room < e->least_room)
        e->least_room = room;
    size_t n = room + room / 3 < sizeof some ? room + room / 3 : sizeof some;
    n = n < e->to_make ? n : e->to_make;
    e->to_make -= n;
    CHECK_OK(h2_stream_write(s, bytes_of(some, n), e->to_make == 0));
}

static void on_writable(struct link_stream *s)
{
    note(end_of(s), "writable", (bytes){ 0 });
}

static void on_closed(struct link_stream *s, enum link_close why)
{
    struct end *e = end_of(s);
    e->why = why;
    note_numbers(e, "closed", why, 0);
}

static const struct h2_events words = {
    .ready = on_ready,
    .leaving = on_leaving,
    .wake = on_wake,
    .request = on_request,
    .head = on_head,
    .data = on_data,
    .end = on_end,
    .hungry = on_hungry,
    .writable = on_writable,
    .closed = on_closed,
};

struct pair {
    struct end client, server;
};

static err open_end(struct end *e, const struct h2_settings *settings)
{
    e->account = BUF(1 << 20);
    return h2_new(&e->h2, settings, &words, e);
}

static void close_pair(struct pair *p)
{
    h2_free(p->client.h2);
    h2_free(p->server.h2);
    buf_clear(&p->client.account);
    buf_clear(&p->server.account);
}

/* Everything `from` has to say goes to `to`, in pieces. */
static err move(struct end *from, struct end *to, size_t piece, bool *moved)
{
    BUF_AUTO out = BUF(8 << 20);
    bool more = true;
    while (more) {
        err e = h2_take(from->h2, &out, (size_t)256 * 1024 + out.len, &more);
        h2_tell(from->h2);
        h2_reap(from->h2);
        TRY(e);
    }
    *moved = *moved || out.len > 0;
    for (size_t at = 0; at < out.len; at += piece)
        TRY(h2_put(to->h2, bytes_slice(buf_view(&out), at, piece), 0));
    return OK;
}

static err talk(struct pair *p, size_t piece)
{
    bool moved = true;
    while (moved) {
        moved = false;
        TRY(move(&p->client, &p->server, piece, &moved));
        TRY(move(&p->server, &p->client, piece, &moved));
    }
    return OK;
}

static const struct h2_settings client_settings = { 0 };
static const struct h2_settings server_settings = { .server = true, .streams_max = 3 };
static const struct link_request get = { .method = { (const uint8_t *)"GET", 3 },
                                         .authority = { (const uint8_t *)"w", 1 },
                                         .path = { (const uint8_t *)"/", 1 },
                                         .end = true };
static const struct link_request post = { .method = { (const uint8_t *)"POST", 4 },
                                          .path = { (const uint8_t *)"/p", 2 } };

static void open_pair(struct pair *p)
{
    CHECK_OK(open_end(&p->client, &client_settings));
    CHECK_OK(open_end(&p->server, &server_settings));
    CHECK_OK(talk(p, SIZE_MAX / 2));
    buf_truncate(&p->client.account, 0);
    buf_truncate(&p->server.account, 0);
}

static void told(struct end *e, const char *want)
{
    assert_string_equal(buf_str(&e->account), want);
    buf_truncate(&e->account, 0);
}

static void carries_a_request_and_its_answer_whatever_the_pieces(void **state)
{
    (void)state;
    static const size_t pieces[] = { 1, 2, 3, 7, 9, 10, 100, 1 << 20 };
    const struct link_field fields[] = { { BYTES_LIT("x-a"), BYTES_LIT("1") },
                                         { BYTES_LIT("x-b"), BYTES_LIT("") } };
    struct link_request req = post;
    req.fields = fields;
    req.fields_n = ARRAY_LEN(fields);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct pair p = { .server = { .answer = true, .eager = true } };
        struct link_stream *s;
        open_pair(&p);
        CHECK_OK(h2_submit(p.client.h2, &req, &s, NULL));
        CHECK_OK(h2_stream_write(s, BYTES_LIT("hello "), false));
        CHECK_OK(h2_stream_write(s, BYTES_LIT("worker"), true));
        CHECK_ERR(h2_stream_write(s, BYTES_LIT("more"), false), CLOSED);
        CHECK_OK(talk(&p, pieces[i]));
        told(&p.server, "request /p\nname x-a\nvalue 1\nname x-b\nvalue \nend 12\nclosed 3\n");
        told(&p.client, "head 200\nend 6\nclosed 3\n");
        close_pair(&p);
    }
}

static void stops_at_the_window_until_the_reader_consumes(void **state)
{
    (void)state;
    struct pair p = { 0 };
    struct link_stream *slow, *quick;
    BUF_AUTO big = BUF(LINK_QUEUE_MAX);
    open_pair(&p);
    CHECK_OK(buf_add_zeros(&big, LINK_QUEUE_MAX));
    CHECK_OK(h2_submit(p.client.h2, &post, &slow, NULL));
    CHECK_OK(h2_stream_take(slow, &big, true));
    CHECK(big.len == 0);
    CHECK_OK(talk(&p, 1 << 20));
    struct link_stream *reader = p.server.stream;
    CHECK(p.server.body_n == LINK_WINDOW);
    CHECK(h2_stream_queued(slow) == LINK_QUEUE_MAX - LINK_WINDOW);

    /* A second stream is not held up. */
    CHECK_OK(h2_submit(p.client.h2, &post, &quick, NULL));
    CHECK_OK(h2_stream_write(quick, BYTES_LIT("quick"), true));
    CHECK_OK(talk(&p, 1 << 20));
    CHECK(p.server.body_n == LINK_WINDOW + 5);
    buf_truncate(&p.client.account, 0);

    /* More cannot be consumed than was given. */
    h2_stream_consume(reader, SIZE_MAX);
    CHECK_OK(talk(&p, 1 << 20));
    CHECK(p.server.body_n == (size_t)2 * LINK_WINDOW + 5);
    told(&p.client, "");
    h2_stream_consume(reader, LINK_WINDOW);
    CHECK_OK(talk(&p, 1 << 20));
    told(&p.client, "");
    h2_stream_consume(reader, LINK_WINDOW);
    CHECK_OK(talk(&p, 1 << 20));
    CHECK(p.server.body_n == LINK_QUEUE_MAX + 5);
    CHECK(h2_stream_queued(slow) == 0);
    told(&p.client, "writable \n");
    close_pair(&p);
}

static void a_body_may_be_made_as_it_is_sent(void **state)
{
    enum { LEN = 3 * LINK_WINDOW + 5 };
    (void)state;
    struct pair p = { .server = { .eager = true } };
    struct link_stream *s;
    open_pair(&p);
    p.client.to_make = LEN;
    unsigned before = (unsigned)p.client.wakes;
    CHECK_OK(h2_submit(p.client.h2, &post, &s, NULL));
    CHECK_OK(h2_stream_write(s, BYTES_LIT("head"), false));
    CHECK(p.client.makes_n == 0 && p.client.wakes == before + 2);
    CHECK_OK(talk(&p, 1 << 20));
    told(&p.server, "request /p\nend 786441\n");
    CHECK(p.client.to_make == 0 && p.client.makes_n >= LEN / LINK_FRAME_MAX);
    close_pair(&p);
}

/* What nothing was written to sleeps until something is. */
static void a_body_that_is_not_ready_waits_for_the_next_write(void **state)
{
    (void)state;
    struct pair p = { .server = { .eager = true } };
    struct link_stream *s;
    open_pair(&p);
    CHECK_OK(h2_submit(p.client.h2, &post, &s, NULL));
    CHECK_OK(talk(&p, 1 << 20));
    told(&p.server, "request /p\n");
    p.client.to_make = 100;
    CHECK_OK(talk(&p, 1 << 20));
    CHECK(p.server.body_n == 0);
    CHECK_OK(h2_stream_write(s, BYTES_LIT("go on"), false));
    CHECK_OK(talk(&p, 1 << 20));
    told(&p.server, "end 105\n");
    close_pair(&p);
}

/* No more is made than the peer's window takes, but for what one call makes too much. */
static void nothing_is_made_for_a_peer_that_does_not_take_it(void **state)
{
    (void)state;
    struct pair p = { 0 };
    struct link_stream *s;
    open_pair(&p);
    p.client.to_make = (size_t)2 * LINK_WINDOW;
    CHECK_OK(h2_submit(p.client.h2, &post, &s, NULL));
    CHECK_OK(talk(&p, 1 << 20));
    CHECK(p.server.body_n == LINK_WINDOW);
    CHECK(p.client.to_make >= LINK_WINDOW - LINK_FRAME_MAX);
    CHECK(h2_stream_queued(s) == LINK_WINDOW - p.client.to_make);
    close_pair(&p);
}

static void a_stream_may_be_given_up_when_it_should_be_made(void **state)
{
    (void)state;
    struct pair p = { .client = { .gives_up = true } };
    struct link_stream *s;
    open_pair(&p);
    CHECK_OK(h2_submit(p.client.h2, &post, &s, NULL));
    CHECK_OK(h2_stream_write(s, BYTES_LIT("head"), false));
    CHECK_OK(talk(&p, 1 << 20));
    told(&p.server, "request /p\nclosed 1\n");
    told(&p.client, "");
    CHECK(h2_streams(p.client.h2) == 0 && h2_streams(p.server.h2) == 0);
    p.client.gives_up = false;
    CHECK_OK(h2_submit(p.client.h2, &get, &s, NULL));
    CHECK_OK(talk(&p, 1 << 20));
    told(&p.server, "request /\nend 4\n");
    close_pair(&p);
}

static void tells_writable_once_below_the_low_mark(void **state)
{
    (void)state;
    struct pair p = { .server = { .eager = true } };
    struct link_stream *s;
    BUF_AUTO part = BUF(LINK_LOW);
    open_pair(&p);
    CHECK_OK(buf_add_zeros(&part, LINK_LOW - 1));
    CHECK_OK(h2_submit(p.client.h2, &post, &s, NULL));
    CHECK_OK(h2_stream_write(s, buf_view(&part), false));
    CHECK_OK(talk(&p, 1 << 20));
    told(&p.client, "");
    CHECK_OK(buf_add_u8(&part, 0));
    CHECK_OK(h2_stream_write(s, buf_view(&part), false));
    CHECK_OK(talk(&p, 1 << 20));
    told(&p.client, "writable \n");
    close_pair(&p);
}

static void bounds_the_queue(void **state)
{
    (void)state;
    struct pair p = { 0 };
    struct link_stream *s;
    BUF_AUTO big = BUF(LINK_QUEUE_MAX + 1);
    open_pair(&p);
    CHECK_OK(buf_add_zeros(&big, LINK_QUEUE_MAX + 1));
    CHECK_OK(h2_submit(p.client.h2, &post, &s, NULL));
    CHECK_ERR(h2_stream_write(s, buf_view(&big), false), LIMIT);
    CHECK_OK(h2_stream_write(s, bytes_slice(buf_view(&big), 0, LINK_QUEUE_MAX), false));
    CHECK_ERR(h2_stream_take(s, &big, false), LIMIT);
    CHECK(big.len == LINK_QUEUE_MAX + 1 && h2_stream_queued(s) == LINK_QUEUE_MAX);
    CHECK_ERR(h2_stream_write(s, BYTES_LIT("x"), false), LIMIT);
    CHECK_OK(h2_stream_write(s, (bytes){ 0 }, true));
    close_pair(&p);
}

static void bounds_the_head(void **state)
{
    (void)state;
    struct pair p = { 0 };
    struct link_stream *s;
    BUF_AUTO value = BUF(LINK_HEAD_MAX);
    struct link_field fields[LINK_FIELDS_MAX + 1];
    struct link_request req = get;
    open_pair(&p);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        fields[i] = (struct link_field){ BYTES_LIT("x"), BYTES_LIT("y") };
    req.fields = fields;
    req.fields_n = LINK_FIELDS_MAX + 1;
    CHECK_ERR(h2_submit(p.client.h2, &req, &s, NULL), LIMIT);
    req.fields_n = LINK_FIELDS_MAX;
    CHECK_OK(h2_submit(p.client.h2, &req, &s, NULL));
    CHECK_OK(talk(&p, 1 << 20));
    CHECK(p.server.requests_n == 1);

    /* GET, "w", "/" and the name: six bytes. */
    CHECK_OK(buf_add_zeros(&value, LINK_HEAD_MAX - 6));
    memset(value.at, 'v', value.len);
    fields[0].value = buf_view(&value);
    req.fields_n = 1;
    CHECK_OK(h2_submit(p.client.h2, &req, &s, NULL));
    CHECK_OK(talk(&p, 1 << 20));
    CHECK(p.server.requests_n == 2);
    CHECK_OK(buf_add_u8(&value, 'v'));
    fields[0].value = buf_view(&value);
    CHECK_ERR(h2_submit(p.client.h2, &req, &s, NULL), LIMIT);
    close_pair(&p);
}

static void obeys_the_peers_limit_of_streams(void **state)
{
    (void)state;
    struct pair p = { 0 };
    struct link_stream *s[4];
    open_pair(&p);
    for (size_t i = 0; i < 3; i++)
        CHECK_OK(h2_submit(p.client.h2, &post, &s[i], NULL));
    CHECK(h2_room(p.client.h2) == 0);
    CHECK_ERR(h2_submit(p.client.h2, &post, &s[3], NULL), UNAVAILABLE);
    CHECK_OK(talk(&p, 1 << 20));
    CHECK(p.server.requests_n == 3);
    h2_stream_reset(s[1], LINK_CANCEL);
    CHECK_OK(h2_submit(p.client.h2, &post, &s[3], NULL));
    CHECK_OK(talk(&p, 1 << 20));
    CHECK(p.server.requests_n == 4);
    close_pair(&p);
}

static void a_reset_reaches_the_peer_and_silences_our_side(void **state)
{
    (void)state;
    struct pair p = { .server = { .answer = true } };
    struct link_stream *s;
    open_pair(&p);
    CHECK_OK(h2_submit(p.client.h2, &post, &s, NULL));
    CHECK_OK(h2_stream_write(s, BYTES_LIT("abc"), false));
    CHECK_OK(talk(&p, 1 << 20));
    told(&p.client, "head 200\n");
    h2_stream_reset(s, LINK_CANCEL);
    h2_stream_reset(s, LINK_CANCEL);
    h2_stream_consume(s, 1);
    CHECK_ERR(h2_stream_write(s, BYTES_LIT("x"), false), CLOSED);
    CHECK_OK(talk(&p, 1 << 20));
    told(&p.client, "");
    told(&p.server, "request /p\nclosed 1\n");
    CHECK(h2_streams(p.client.h2) == 0 && h2_streams(p.server.h2) == 0);

    /* A request that never left is taken back unseen. */
    CHECK_OK(h2_submit(p.client.h2, &post, &s, NULL));
    h2_stream_reset(s, LINK_CANCEL);
    CHECK_OK(talk(&p, 1 << 20));
    told(&p.client, "");
    told(&p.server, "");
    close_pair(&p);
}

static void tells_refused_from_reset(void **state)
{
    (void)state;
    struct pair p = { 0 };
    struct link_stream *s;
    open_pair(&p);
    CHECK_OK(h2_submit(p.client.h2, &post, &s, NULL));
    CHECK_OK(h2_stream_write(s, BYTES_LIT("abc"), false));
    CHECK_OK(talk(&p, 1 << 20));
    h2_stream_reset(p.server.stream, LINK_REFUSE);
    CHECK_OK(talk(&p, 1 << 20));
    CHECK(p.client.why == LINK_REFUSED);

    /* A whole request may have been passed on by who refuses it. */
    CHECK_OK(h2_submit(p.client.h2, &post, &s, NULL));
    CHECK_OK(h2_stream_write(s, BYTES_LIT("abc"), true));
    CHECK_OK(talk(&p, 1 << 20));
    h2_stream_reset(p.server.stream, LINK_REFUSE);
    CHECK_OK(talk(&p, 1 << 20));
    CHECK(p.client.why == LINK_RESET);

    /* With a head it is not "not processed", whatever the peer says. */
    CHECK_OK(h2_submit(p.client.h2, &get, &s, NULL));
    CHECK_OK(talk(&p, 1 << 20));
    CHECK_OK(h2_stream_respond(p.server.stream, 200, NULL, 0, false));
    CHECK_OK(talk(&p, 1 << 20));
    h2_stream_reset(p.server.stream, LINK_REFUSE);
    CHECK_OK(talk(&p, 1 << 20));
    CHECK(p.client.why == LINK_RESET);

    CHECK_OK(h2_submit(p.client.h2, &get, &s, NULL));
    CHECK_OK(talk(&p, 1 << 20));
    h2_stream_reset(p.server.stream, LINK_INTERNAL);
    CHECK_OK(talk(&p, 1 << 20));
    CHECK(p.client.why == LINK_RESET);
    close_pair(&p);
}

static void an_answer_may_end_before_the_request(void **state)
{
    (void)state;
    struct pair p = { 0 };
    struct link_stream *s;
    open_pair(&p);
    CHECK_OK(h2_submit(p.client.h2, &post, &s, NULL));
    CHECK_OK(talk(&p, 1 << 20));
    CHECK_OK(h2_stream_respond(p.server.stream, 413, NULL, 0, false));
    CHECK_ERR(h2_stream_respond(p.server.stream, 200, NULL, 0, true), INTERNAL);
    CHECK_OK(h2_stream_write(p.server.stream, BYTES_LIT("too large"), true));
    CHECK_OK(talk(&p, 1 << 20));
    told(&p.server, "request /p\nclosed 3\n");
    told(&p.client, "head 413\nend 9\nclosed 3\n");
    close_pair(&p);
}

static void a_leaving_server_finishes_what_it_accepted(void **state)
{
    (void)state;
    struct pair p = { .server = { .answer = true } };
    struct link_stream *accepted, *late;
    open_pair(&p);
    CHECK_OK(h2_submit(p.client.h2, &post, &accepted, NULL));
    CHECK_OK(talk(&p, 1 << 20));
    CHECK_OK(h2_submit(p.client.h2, &post, &late, NULL));
    h2_leave(p.server.h2);
    /* The notice crosses the late request, which is still served. */
    bool moved = false;
    CHECK_OK(move(&p.server, &p.client, 1 << 20, &moved));
    told(&p.client, "head 200\nclosed 2\nleaving \n");
    CHECK_ERR(h2_submit(p.client.h2, &post, &late, NULL), UNAVAILABLE);
    CHECK_OK(talk(&p, 1 << 20));
    CHECK(!h2_finished(p.server.h2) && !h2_finished(p.client.h2));
    CHECK_OK(h2_stream_write(accepted, BYTES_LIT("rest"), true));
    CHECK_OK(talk(&p, 1 << 20));
    told(&p.client, "end 6\nclosed 3\n");
    CHECK(h2_finished(p.server.h2) && h2_finished(p.client.h2));
    CHECK_OK(h2_why(p.server.h2));
    CHECK_OK(h2_why(p.client.h2));
    close_pair(&p);
}

static void a_lost_connection_refuses_what_never_left(void **state)
{
    (void)state;
    struct pair p = { 0 };
    struct link_stream *s;
    BUF_AUTO out = BUF(1 << 20);
    bool more;
    open_pair(&p);
    CHECK_OK(h2_submit(p.client.h2, &post, &s, NULL));
    CHECK_OK(h2_take(p.client.h2, &out, 1 << 19, &more));
    CHECK_OK(h2_submit(p.client.h2, &post, &s, NULL));
    h2_lost(p.client.h2, UINT64_MAX);
    told(&p.client, "closed 2\nclosed 0\n");
    h2_reap(p.client.h2);
    CHECK_ERR(h2_submit(p.client.h2, &post, &s, NULL), UNAVAILABLE);
    close_pair(&p);
}

static void a_head_that_the_socket_did_not_take_never_left(void **state)
{
    (void)state;
    for (unsigned taken = 0; taken < 2; taken++) {
        struct pair p = { 0 };
        struct link_stream *s;
        BUF_AUTO before = BUF(1 << 20);
        BUF_AUTO out = BUF(1 << 20);
        bool more;
        CHECK_OK(open_end(&p.client, &client_settings));
        CHECK_OK(open_end(&p.server, &server_settings));
        CHECK_OK(h2_take(p.client.h2, &before, 1 << 19, &more));
        CHECK_OK(h2_put(p.server.h2, buf_view(&before), 0));
        CHECK_OK(h2_take(p.server.h2, &out, 1 << 19, &more));
        CHECK_OK(h2_put(p.client.h2, buf_view(&out), 0));
        CHECK_OK(h2_take(p.client.h2, &before, 1 << 19, &more));
        CHECK_OK(h2_submit(p.client.h2, &post, &s, NULL));
        CHECK_OK(h2_take(p.client.h2, &out, 1 << 19, &more));
        h2_lost(p.client.h2, before.len + taken);
        CHECK(p.client.why == (taken == 0 ? LINK_REFUSED : LINK_LOST));
        close_pair(&p);
    }
}

/* A server after the client's hello, fed by hand. */
static void open_server(struct end *e, const struct h2_settings *settings)
{
    static const char hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    CHECK_OK(open_end(e, settings));
    CHECK_OK(h2_put(e->h2, bytes_of(hello, sizeof hello - 1), 0));
}

/* The error code of the last frame, which is a GOAWAY. */
static uint32_t goodbye_of(struct end *e)
{
    BUF_AUTO out = BUF(4 << 20);
    bool more;
    (void)h2_take(e->h2, &out, 4 << 20, &more);
    bytes rest = buf_view(&out);
    bytes frame = { 0 };
    while (rest.len >= 9) {
        size_t len = 9 + ((size_t)rest.at[0] << 16 | (size_t)rest.at[1] << 8 | rest.at[2]);
        CHECK(bytes_take(&rest, len, &frame));
    }
    CHECK(rest.len == 0 && frame.at != NULL && frame.len >= 17 && frame.at[3] == 7);
    return frame.at[16];
}

static void close_server(struct end *e)
{
    h2_lost(e->h2, 0);
    h2_free(e->h2);
    buf_clear(&e->account);
}

struct flood {
    const char *frame;
    size_t len;
    struct h2_settings settings;
};

#define FLOOD(frame, limit)                                                                        \
    {                                                                                              \
        frame, sizeof(frame) - 1,                                                                  \
        {                                                                                          \
            .server = true, .limit = 2                                                             \
        }                                                                                          \
    }

static const struct flood floods[] = {
    FLOOD("\0\0\0\4\0\0\0\0\0", settings_per_s),
    FLOOD("\0\0\10\6\0\0\0\0\0aaaabbbb", pings_per_s),
    FLOOD("\0\0\4\10\0\0\0\0\0\0\0\0\1", others_per_s),
    FLOOD("\0\0\5\2\0\0\0\0\1\0\0\0\0\0", others_per_s),
};

/* Ten seconds' worth is saved up: 20 frames pass, the next does not; half a second later one
 * would have. */
static void over_a_rate_the_peer_is_sent_away(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(floods); i++) {
        struct end e = { 0 };
        bytes frame = bytes_of(floods[i].frame, floods[i].len);
        open_server(&e, &floods[i].settings);
        /* The hello was the first of the SETTINGS. */
        size_t n = floods[i].settings.settings_per_s > 0 ? 19 : 20;
        for (size_t j = 0; j < n; j++)
            CHECK_OK(h2_put(e.h2, frame, 0));
        CHECK_OK(h2_put(e.h2, frame, 500));
        CHECK_ERR(h2_put(e.h2, frame, 500), LIMIT);
        CHECK_ERR(h2_put(e.h2, frame, 100000), LIMIT);
        CHECK(h2_finished(e.h2));
        CHECK_ERR(h2_why(e.h2), LIMIT);
        CHECK(goodbye_of(&e) == 11);
        close_server(&e);
    }
}

/* Requests with a number for each stream; this one lacks :path and is answered by a reset. */
static err put_head(struct end *e, uint32_t i)
{
    uint8_t frame[] = { 0, 0, 2, 1, 5, 0, 0, 0, 0, 0202, 0206 };
    uint32_t id = 2 * i + 1;
    frame[6] = (uint8_t)(id >> 16);
    frame[7] = (uint8_t)(id >> 8);
    frame[8] = (uint8_t)id;
    return h2_put(e->h2, BYTES_ARRAY(frame), 0);
}

static void over_the_rate_of_heads_the_peer_is_sent_away(void **state)
{
    (void)state;
    const struct h2_settings settings = { .server = true, .heads_per_s = 3 };
    struct end e = { 0 };
    open_server(&e, &settings);
    for (uint32_t i = 0; i < 30; i++)
        CHECK_OK(put_head(&e, i));
    CHECK_ERR(put_head(&e, 30), LIMIT);
    CHECK(goodbye_of(&e) == 11);
    close_server(&e);
}

static void a_peer_that_does_not_read_is_noticed(void **state)
{
    (void)state;
    const struct h2_settings settings = { .server = true, .streams_max = 1 };
    struct end e = { 0 };
    open_server(&e, &settings);
    for (uint32_t i = 0; i < 16000; i++) {
        CHECK_OK(put_head(&e, i));
        CHECK(!h2_flooded(e.h2));
    }
    for (uint32_t i = 16000; i < 16400; i++)
        CHECK_OK(put_head(&e, i));
    CHECK(h2_flooded(e.h2) && h2_streams(e.h2) == 0);
    close_server(&e);
}

static void thousands_of_clients_may_leave_at_once(void **state)
{
    (void)state;
    enum { LEAVING = 3000 };
    const struct h2_settings settings = { .server = true,
                                          .streams_max = LEAVING,
                                          .heads_per_s = LINK_HEADS_PER_S,
                                          .resets_per_s = LINK_RESETS_PER_S,
                                          .others_per_s = LINK_OTHERS_PER_S };
    const struct h2_settings mine = { .streams_max = LEAVING };
    struct pair p = { 0 };
    static struct link_stream *s[LEAVING];
    CHECK_OK(open_end(&p.client, &mine));
    CHECK_OK(open_end(&p.server, &settings));
    CHECK_OK(talk(&p, 1 << 20));
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < LEAVING; i++)
            CHECK_OK(h2_submit(p.client.h2, &post, &s[i], NULL));
        CHECK_OK(talk(&p, 1 << 20));
        CHECK(h2_streams(p.server.h2) == LEAVING);
        for (size_t i = 0; i < LEAVING; i++)
            h2_stream_reset(s[i], LINK_CANCEL);
        CHECK_OK(talk(&p, 1 << 20));
        CHECK(h2_streams(p.server.h2) == 0);
    }
    CHECK(!h2_finished(p.server.h2));
    close_pair(&p);
}

static void over_the_rate_of_resets_it_ends(void **state)
{
    (void)state;
    const struct h2_settings settings = { .server = true, .resets_per_s = 2 };
    struct pair p = { 0 };
    struct link_stream *s;
    CHECK_OK(open_end(&p.client, &client_settings));
    CHECK_OK(open_end(&p.server, &settings));
    CHECK_OK(talk(&p, 1 << 20));
    for (size_t i = 0; i < 21; i++) {
        CHECK_OK(h2_submit(p.client.h2, &post, &s, NULL));
        CHECK_OK(talk(&p, 1 << 20));
        h2_stream_reset(s, LINK_CANCEL);
        err e = talk(&p, 1 << 20);
        assert_string_equal(err_word(e), i < 20 ? "ok" : "LIMIT");
    }
    close_pair(&p);
}

static void refuses_what_is_not_http2(void **state)
{
    (void)state;
    struct end e = { 0 };
    CHECK_OK(open_end(&e, &server_settings));
    CHECK_ERR(h2_put(e.h2, BYTES_LIT("GET / HTTP/1.1\r\nhost: x\r\n\r\n"), 0), MALFORMED);
    CHECK(goodbye_of(&e) == 1);
    close_server(&e);

    /* A DATA frame on stream 0: nghttp2 itself says goodbye. */
    e = (struct end){ 0 };
    open_server(&e, &server_settings);
    CHECK_OK(h2_put(e.h2, BYTES_LIT("\0\0\1\0\0\0\0\0\0x"), 0));
    CHECK(goodbye_of(&e) == 1);
    CHECK(h2_finished(e.h2));
    CHECK_ERR(h2_why(e.h2), MALFORMED);
    close_server(&e);
}

static void a_head_over_the_limit_costs_its_stream_only(void **state)
{
    (void)state;
    struct end e = { 0 };
    BUF_AUTO big = BUF(1 << 20);
    open_server(&e, &server_settings);
    /* With our SETTINGS acknowledged, frames may be as large as they say. */
    CHECK_OK(h2_put(e.h2, BYTES_LIT("\0\0\0\4\1\0\0\0\0"), 0));
    /* :method GET, :scheme http, :path /, :authority w, then literal fields without indexing: 3 x 8000 bytes. */
    CHECK_OK(buf_add(&big, BYTES_LIT("\202\206\204\1\1w")));
    for (size_t i = 0; i < 3; i++) {
        CHECK_OK(buf_add(&big, BYTES_LIT("\0\1x\177\301\75"))); /* 127 + 65 + 61 * 128 = 8000 */
        CHECK_OK(buf_add_zeros(&big, 8000));
        memset(big.at + big.len - 8000, 'v', 8000);
    }
    uint8_t head[9] = {
        (uint8_t)(big.len >> 16), (uint8_t)(big.len >> 8), (uint8_t)big.len, 1, 5, 0, 0, 0, 1
    };
    CHECK_OK(h2_put(e.h2, BYTES_ARRAY(head), 0));
    CHECK_OK(h2_put(e.h2, buf_view(&big), 0));
    CHECK(e.requests_n == 0 && !h2_finished(e.h2));
    CHECK_OK(h2_put(e.h2, BYTES_LIT("\0\0\6\1\5\0\0\0\3\202\206\204\1\1w"), 0));
    CHECK(e.requests_n == 1);
    close_server(&e);
}

static void a_head_may_go_on_in_so_many_frames(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 100; piece += 98) {
        for (size_t n = H2_CONTINUATIONS_MAX; n <= H2_CONTINUATIONS_MAX + 1; n++) {
            struct end e = { 0 };
            BUF_AUTO in = BUF(1000);
            open_server(&e, &server_settings);
            CHECK_OK(buf_add(&in, BYTES_LIT("\0\0\6\1\1\0\0\0\1\202\206\204\1\1w")));
            for (size_t i = 1; i < n; i++)
                CHECK_OK(buf_add(&in, BYTES_LIT("\0\0\0\11\0\0\0\0\1")));
            CHECK_OK(buf_add(&in, BYTES_LIT("\0\0\0\11\4\0\0\0\1")));
            err failed = OK;
            for (size_t at = 0; at < in.len && err_is_ok(failed); at += piece)
                failed = h2_put(e.h2, bytes_slice(buf_view(&in), at, piece), 0);
            assert_string_equal(err_word(failed), n <= H2_CONTINUATIONS_MAX ? "ok" : "LIMIT");
            CHECK(e.requests_n == (n <= H2_CONTINUATIONS_MAX ? 1 : 0));
            close_server(&e);
        }
    }
}

static void after_its_goodbye_a_client_starts_nothing_new(void **state)
{
    (void)state;
    static const char said[] =
        "\0\0\6\1\5\0\0\0\1\202\206\204\1\1w"
        "\0\0\10\7\0\0\0\0\0\0\0\0\0\0\0\0\0"
        "\0\0\6\1\5\0\0\0\3\202\206\204\1\1w";
    for (size_t piece = 1; piece < 100; piece += 98) {
        struct end e = { 0 };
        open_server(&e, &server_settings);
        for (size_t at = 0; at < sizeof said - 1; at += piece)
            CHECK_OK(h2_put(e.h2, bytes_slice(bytes_of(said, sizeof said - 1), at, piece), 0));
        CHECK(e.requests_n == 1 && h2_streams(e.h2) == 1);
        close_server(&e);
    }
}

static err whole_conversation(void *arg)
{
    (void)arg;
    struct pair p = { .client = { .silent = true }, .server = { .eager = true, .silent = true } };
    struct link_stream *s = NULL;
    p.client.account = p.server.account = BUF(1 << 20);
    err e = h2_new(&p.client.h2, &client_settings, &words, &p.client);
    if (err_is_ok(e))
        e = h2_new(&p.server.h2, &server_settings, &words, &p.server);
    if (err_is_ok(e))
        e = talk(&p, 1 << 20);
    if (err_is_ok(e))
        e = h2_submit(p.client.h2, &post, &s, NULL);
    if (err_is_ok(e))
        e = h2_stream_write(s, BYTES_LIT("0123456789"), true);
    if (err_is_ok(e))
        e = talk(&p, 1 << 20);
    if (err_is_ok(e) && p.server.stream != NULL && h2_streams(p.server.h2) == 1)
        e = h2_stream_respond(p.server.stream, 200, NULL, 0, true);
    if (err_is_ok(e))
        e = talk(&p, 1 << 20);
    if (p.client.h2 != NULL)
        h2_lost(p.client.h2, 0);
    close_pair(&p);
    return e;
}

/* The account of the callbacks allocates too, and insists; so it is not kept here. */
static void survives_every_failing_allocation(void **state)
{
    (void)state;
    law_every_allocation_fails_once(whole_conversation, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_a_request_and_its_answer_whatever_the_pieces),
        cmocka_unit_test(stops_at_the_window_until_the_reader_consumes),
        cmocka_unit_test(a_body_may_be_made_as_it_is_sent),
        cmocka_unit_test(a_body_that_is_not_ready_waits_for_the_next_write),
        cmocka_unit_test(nothing_is_made_for_a_peer_that_does_not_take_it),
        cmocka_unit_test(a_stream_may_be_given_up_when_it_should_be_made),
        cmocka_unit_test(tells_writable_once_below_the_low_mark),
        cmocka_unit_test(bounds_the_queue),
        cmocka_unit_test(bounds_the_head),
        cmocka_unit_test(obeys_the_peers_limit_of_streams),
        cmocka_unit_test(a_reset_reaches_the_peer_and_silences_our_side),
        cmocka_unit_test(tells_refused_from_reset),
        cmocka_unit_test(an_answer_may_end_before_the_request),
        cmocka_unit_test(a_leaving_server_finishes_what_it_accepted),
        cmocka_unit_test(a_lost_connection_refuses_what_never_left),
        cmocka_unit_test(a_head_that_the_socket_did_not_take_never_left),
        cmocka_unit_test(over_a_rate_the_peer_is_sent_away),
        cmocka_unit_test(over_the_rate_of_heads_the_peer_is_sent_away),
        cmocka_unit_test(a_peer_that_does_not_read_is_noticed),
        cmocka_unit_test(thousands_of_clients_may_leave_at_once),
        cmocka_unit_test(over_the_rate_of_resets_it_ends),
        cmocka_unit_test(refuses_what_is_not_http2),
        cmocka_unit_test(a_head_over_the_limit_costs_its_stream_only),
        cmocka_unit_test(a_head_may_go_on_in_so_many_frames),
        cmocka_unit_test(after_its_goodbye_a_client_starts_nothing_new),
        cmocka_unit_test(survives_every_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
