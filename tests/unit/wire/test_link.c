#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/loop.h"
#include "base/mem.h"
#include "crypto/init.h"
#include "crypto/tls.h"
#include "tests/lib/law.h"
#include "tests/unit/crypto/pki.h"
#include "wire/link.h"

/*
 * Both ends on one loop, over real sockets. The server's end answers as its fixture says; both keep
 * an account. The loop runs until a condition holds; a guard fails the test when it never does.
 */
enum { GUARD_MS = 30000, PART_LEN = 32 * 1024 };

enum mode {
    ECHO = 0, /* answers at once, sends every byte back, consumes what it could pass on */
    HOLD,     /* answers nothing, consumes nothing */
    SWALLOW,  /* answers when the request has ended, consumes all */
};

struct fixture;

/* What one stream has seen; the client's side. */
struct call {
    struct fixture *f;
    struct link_stream *stream;
    size_t to_send, sent, got, ends, closes;
    uint32_t sum_sent, sum_got;
    unsigned status;
    enum link_close why;
    uint32_t code;
};

struct fixture {
    struct loop *loop;
    struct loop_timer guard;
    struct loop_hook hook;
    bool (*done)(struct fixture *f);
    struct link_listener *listener, *other;
    struct link *link;
    struct link *accepted;         /* the server's latest */
    struct link_stream *at_server; /* the server's latest */
    enum mode mode;
    size_t ups, downs, requests, server_ups, server_downs, server_closed, held;
    size_t server_got, want;
    size_t queued_most;
    enum link_close server_why;
    err why;
    struct call calls[64];
    const char *strike; /* at which callback to close the link */
    bool strike_server;
    struct sock_addr addr;
};

static void on_guard(struct loop_timer *t)
{
    (void)t;
    fail_msg("the loop waits for something that does not come");
}

static void on_turn(struct loop_hook *h)
{
    struct fixture *f = CONTAINER_OF(h, struct fixture, hook);
    if (f->done != NULL && f->done(f))
        loop_stop(f->loop);
}

static void run_until(struct fixture *f, bool (*done)(struct fixture *f))
{
    f->done = done;
    if (!done(f))
        loop_run(f->loop);
    f->done = NULL;
}

static void turn(struct fixture *f)
{
    loop_stop(f->loop);
    loop_run(f->loop);
}

/* In the named callback the link at this end is closed. */
static bool struck(struct fixture *f, bool server, const char *where)
{
    if (f->strike == NULL || f->strike_server != server || strcmp(f->strike, where) != 0)
        return false;
    f->strike = NULL;
    link_close(server ? f->accepted : f->link);
    if (!server)
        f->link = NULL;
    return true;
}

/* ---- the server's end ---- */

static struct fixture *server_of(struct link_stream *s)
{
    return link_stream_owner(s);
}

static void server_up(struct link *k, void *owner)
{
    struct fixture *f = owner;
    f->accepted = k;
    f->server_ups++;
    (void)struck(f, true, "up");
}

static void server_down(struct link *k, void *owner, err why)
{
    struct fixture *f = owner;
    f->server_downs++;
    f->why = why;
    if (struck(f, true, "down") || f->accepted == k)
        f->accepted = NULL;
}

static void server_request(struct link *k, void *owner, struct link_stream *s,
                           const struct link_request *req)
{
    struct fixture *f = owner;
    (void)k;
    f->requests++;
    f->at_server = s;
    link_stream_set_owner(s, f);
    CHECK(link_stream_link(s) == k);
    if (struck(f, true, "request"))
        return;
    if (f->mode == ECHO)
        CHECK_OK(link_respond(s, 200, req->fields, req->fields_n, false));
}

/* Passes on what fits; the rest of the window stays closed until `writable`. */
static void server_data(struct link_stream *s, bytes in)
{
    struct fixture *f = server_of(s);
    f->server_got += in.len;
    if (struck(f, true, "data"))
        return;
    if (f->mode == HOLD)
        return;
    if (f->mode == SWALLOW) {
        link_stream_consume(s, in.len);
        return;
    }
    CHECK_OK(link_stream_write(s, in, false));
    if (link_stream_queued(s) < LINK_LOW)
        link_stream_consume(s, in.len);
    else
        f->held += in.len;
    if (link_stream_queued(s) > f->queued_most)
        f->queued_most = link_stream_queued(s);
}

static void server_writable(struct link_stream *s)
{
    struct fixture *f = server_of(s);
    if (struck(f, true, "writable"))
        return;
    link_stream_consume(s, f->held);
    f->held = 0;
}

static void server_end(struct link_stream *s)
{
    struct fixture *f = server_of(s);
    if (struck(f, true, "end"))
        return;
    if (f->mode == SWALLOW && !err_is_ok(link_respond(s, 204, NULL, 0, true)))
        link_stream_reset(s, LINK_REFUSE);
    if (f->mode == ECHO)
        CHECK_OK(link_stream_write(s, (bytes){ 0 }, true));
}

static void server_closed(struct link_stream *s, enum link_close why)
{
    struct fixture *f = server_of(s);
    f->server_closed++;
    f->server_why = why;
    (void)struck(f, true, "closed");
}

static const struct link_events server_words = {
    .up = server_up,
    .down = server_down,
    .request = server_request,
    .data = server_data,
    .writable = server_writable,
    .end = server_end,
    .closed = server_closed,
};

/* ---- the client's end ---- */

static void client_up(struct link *k, void *owner)
{
    struct fixture *f = owner;
    CHECK(link_is_up(k));
    f->ups++;
    (void)struck(f, false, "up");
}

static void client_down(struct link *k, void *owner, err why)
{
    struct fixture *f = owner;
    CHECK(!link_is_up(k));
    f->downs++;
    f->why = why;
    (void)struck(f, false, "down");
}

/* Byte i of every body is i * 7 + 1. */
static void send_more(struct call *c)
{
    uint8_t part[PART_LEN / 8];
    while (c->sent < c->to_send && link_stream_queued(c->stream) < LINK_LOW) {
        size_t n = c->to_send - c->sent < sizeof part ? c->to_send - c->sent : sizeof part;
        for (size_t i = 0; i < n; i++)
            part[i] = (uint8_t)((c->sent + i) * 7 + 1);
        c->sent += n;
        CHECK_OK(link_stream_write(c->stream, bytes_of(part, n), c->sent == c->to_send));
    }
}

static void client_head(struct link_stream *s, unsigned status, const struct link_field *fields,
                        size_t n)
{
    struct call *c = link_stream_owner(s);
    (void)fields;
    (void)n;
    c->status = status;
    (void)struck(c->f, false, "head");
}

static void client_data(struct link_stream *s, bytes in)
{
    struct call *c = link_stream_owner(s);
    for (size_t i = 0; i < in.len; i++)
        CHECK(in.at[i] == (uint8_t)((c->got + i) * 7 + 1));
    c->got += in.len;
    if (!struck(c->f, false, "data"))
        link_stream_consume(s, in.len);
}

static void client_end(struct link_stream *s)
{
    struct call *c = link_stream_owner(s);
    c->ends++;
    (void)struck(c->f, false, "end");
}

static void client_hungry(struct link_stream *s, size_t room)
{
    struct call *c = link_stream_owner(s);
    CHECK(room > 0);
    if (!struck(c->f, false, "hungry") && c->sent < c->to_send)
        send_more(c);
}

static void client_writable(struct link_stream *s)
{
    struct call *c = link_stream_owner(s);
    if (!struck(c->f, false, "writable"))
        send_more(c);
}

static void client_closed(struct link_stream *s, enum link_close why)
{
    struct call *c = link_stream_owner(s);
    c->closes++;
    c->why = why;
    c->code = link_stream_code(s);
    c->stream = NULL;
    (void)struck(c->f, false, "closed");
}

static const struct link_events client_words = {
    .up = client_up,
    .down = client_down,
    .head = client_head,
    .data = client_data,
    .end = client_end,
    .hungry = client_hungry,
    .writable = client_writable,
    .closed = client_closed,
};

static void submit(struct fixture *f, struct call *c, size_t to_send)
{
    const struct link_field fields[] = { { BYTES_LIT("x-test"), BYTES_LIT("1") } };
    const struct link_request req = { .method = BYTES_LIT("POST"),
                                      .path = BYTES_LIT("/"),
                                      .fields = fields,
                                      .fields_n = 1,
                                      .end = to_send == 0 };
    *c = (struct call){ .f = f, .to_send = to_send };
    CHECK_OK(link_submit(f->link, &req, &c->stream, c));
    send_more(c);
}

/* ---- conditions ---- */

static bool is_up(struct fixture *f)
{
    return f->link != NULL && link_is_up(f->link);
}

static bool is_down(struct fixture *f)
{
    return f->downs > 0;
}

static bool is_back(struct fixture *f)
{
    return f->ups == 2;
}

static bool first_closed(struct fixture *f)
{
    return f->calls[0].closes > 0;
}

static bool second_closed(struct fixture *f)
{
    return f->calls[1].closes > 0;
}

static bool server_has_request(struct fixture *f)
{
    return f->requests >= f->want;
}

static bool server_has_bytes(struct fixture *f)
{
    return f->server_got >= f->want;
}

static bool server_has_closed(struct fixture *f)
{
    return f->server_closed >= f->want;
}

static bool server_is_empty(struct fixture *f)
{
    return link_listener_links(f->listener) == 0;
}

static bool has_dialled(struct fixture *f)
{
    return link_counts(f->link)->dials >= f->want;
}

static bool has_received(struct fixture *f)
{
    return link_counts(f->link)->receives >= f->want;
}

/* ---- life ---- */

static const struct link_limits no_limits = { 0 };
static const struct link_limits *limits = &no_limits;
static struct tls_context *client_tls, *server_tls;

static void listen_at(struct fixture *f, const struct sock_addr *at)
{
    CHECK_OK(link_listen(&f->listener, f->loop, at, at->tls ? server_tls : NULL, limits,
                         &server_words, f));
    f->addr = *link_listener_addr(f->listener);
}

static void dial_with(struct fixture *f, struct link_settings settings)
{
    settings.addr = f->addr;
    settings.tls = f->addr.tls ? client_tls : NULL;
    settings.server_name = "worker.test";
    if (settings.redial_min_ms == 0)
        settings.redial_min_ms = 1;
    settings.redial_max_ms = 20;
    CHECK_OK(link_open(&f->link, f->loop, &settings, &client_words, f));
}

static void make(struct fixture *f)
{
    *f = (struct fixture){ 0 };
    CHECK_OK(loop_new(&f->loop));
    loop_timer_start(f->loop, &f->guard, GUARD_MS, on_guard);
    loop_hook_add(f->loop, &f->hook, 0, on_turn);
}

static struct sock_addr addr_of(const char *text)
{
    struct sock_addr a;
    CHECK_OK(sock_addr_read(bytes_str(text), &a));
    return a;
}

static const char *unix_text(void)
{
    static char text[64];
    (void)snprintf(text, sizeof text, "unix:/tmp/sealgate-link-%d.sock", (int)getpid());
    return text;
}

static void connect_at(struct fixture *f, const char *text)
{
    const struct sock_addr at = addr_of(text);
    make(f);
    listen_at(f, &at);
    dial_with(f, (struct link_settings){ 0 });
    run_until(f, is_up);
}

static void dismiss(struct fixture *f)
{
    link_close(f->link);
    link_listener_free(f->listener);
    link_listener_free(f->other);
    loop_timer_stop(&f->guard);
    loop_hook_remove(&f->hook);
    loop_free(f->loop);
}

/* ---- tests ---- */

static void converse(const char *text)
{
    struct fixture f;
    connect_at(&f, text);
    submit(&f, &f.calls[0], 1000);
    submit(&f, &f.calls[1], 0);
    run_until(&f, first_closed);
    run_until(&f, second_closed);
    CHECK(f.calls[0].why == LINK_DONE && f.calls[0].status == 200 && f.calls[0].ends == 1);
    CHECK(f.calls[0].got == 1000);
    CHECK(f.calls[1].why == LINK_DONE && f.calls[1].got == 0 && f.calls[1].ends == 1);
    f.want = 2;
    run_until(&f, server_has_closed);
    CHECK(f.server_why == LINK_DONE && link_streams(f.link) == 0);
    CHECK(link_counts(f.link)->dials == 1 && link_counts(f.link)->ups == 1);
    dismiss(&f);
}

static void carries_requests_over_tcp_and_unix(void **state)
{
    (void)state;
    converse("127.0.0.1:0");
    converse("localhost:0");
    converse(unix_text());
}

static void carries_requests_over_tls(void **state)
{
    (void)state;
    converse("tls://127.0.0.1:0");
}

static void carries_requests_over_vsock(void **state)
{
    (void)state;
    const struct sock_addr at = addr_of("vsock:1:47012");
    int listening = -1, fd = -1;
    err e = sock_listen(&at, 0, &listening);
    if (err_is_ok(e))
        e = sock_connect(&at, NULL, &fd);
    sock_close(&fd);
    sock_close(&listening);
    if (!err_is_ok(e)) {
        print_message("SKIPPED: this machine has no vsock loopback (%s)\n", err_word(e));
        skip();
    }
    converse("vsock:1:47012");
}

static void what_a_turn_writes_leaves_in_one_send(void **state)
{
    (void)state;
    struct fixture f;
    connect_at(&f, "127.0.0.1:0");
    turn(&f);
    uint64_t before = link_counts(f.link)->sends;
    for (size_t i = 0; i < 20; i++) {
        submit(&f, &f.calls[i], 100);
        CHECK(link_counts(f.link)->sends == before);
    }
    turn(&f);
    CHECK(link_counts(f.link)->sends == before + 1);
    f.want = 20;
    run_until(&f, server_has_request);
    f.want = 20;
    run_until(&f, server_has_closed);
    dismiss(&f);
}

/* Far more than all queues and windows together. */
static void echo_much(const char *text)
{
    enum { MUCH = 20 * 1024 * 1024 };
    struct fixture f;
    connect_at(&f, text);
    submit(&f, &f.calls[0], MUCH);
    run_until(&f, first_closed);
    CHECK(f.calls[0].why == LINK_DONE && f.calls[0].got == MUCH);
    CHECK(f.queued_most < LINK_QUEUE_MAX);
    dismiss(&f);
}

static void large_bodies_flow_under_back_pressure(void **state)
{
    (void)state;
    echo_much("127.0.0.1:0");
    echo_much(unix_text());
}

static void large_bodies_flow_over_tls(void **state)
{
    (void)state;
    echo_much("tls://127.0.0.1:0");
}

static void a_reader_that_does_not_consume_stops_its_sender_only(void **state)
{
    (void)state;
    struct fixture f;
    connect_at(&f, "127.0.0.1:0");
    f.mode = HOLD;
    submit(&f, &f.calls[0], (size_t)4 * LINK_WINDOW);
    f.want = LINK_WINDOW;
    run_until(&f, server_has_bytes);
    struct link_stream *slow = f.at_server;
    f.mode = SWALLOW;
    submit(&f, &f.calls[1], (size_t)4 * LINK_WINDOW);
    run_until(&f, second_closed);
    CHECK(f.calls[1].why == LINK_DONE && f.calls[1].status == 204);
    /* All that was sent in the meantime was the quick one's. */
    CHECK(f.server_got == (size_t)5 * LINK_WINDOW && f.calls[0].closes == 0);
    CHECK(link_stream_queued(f.calls[0].stream) >= LINK_LOW);
    link_stream_consume(slow, LINK_WINDOW);
    run_until(&f, first_closed);
    CHECK(f.calls[0].why == LINK_DONE);
    dismiss(&f);
}

static void a_reset_reaches_the_other_end(void **state)
{
    (void)state;
    struct fixture f;
    connect_at(&f, unix_text());
    f.mode = HOLD;
    submit(&f, &f.calls[0], 10);
    f.want = 1;
    run_until(&f, server_has_request);
    link_stream_reset(f.calls[0].stream, LINK_CANCEL);
    run_until(&f, server_has_closed);
    CHECK(f.server_why == LINK_RESET && f.calls[0].closes == 0);

    submit(&f, &f.calls[1], 10);
    f.want = 2;
    run_until(&f, server_has_request);
    link_stream_reset(f.at_server, LINK_INTERNAL);
    run_until(&f, second_closed);
    CHECK(f.calls[1].why == LINK_RESET && f.calls[1].code == 2);

    submit(&f, &f.calls[1], 10);
    f.want = 3;
    run_until(&f, server_has_request);
    link_stream_reset(f.at_server, LINK_REFUSE);
    run_until(&f, second_closed);
    CHECK(f.calls[1].why == LINK_RESET && f.calls[1].code == 7); /* it was whole */
    dismiss(&f);
}

static void dials_until_somebody_answers(void **state)
{
    (void)state;
    struct fixture f;
    make(&f);
    f.addr = addr_of(unix_text());
    dial_with(&f, (struct link_settings){ 0 });
    f.want = 3;
    run_until(&f, has_dialled);
    CHECK(!link_is_up(f.link) && f.ups == 0 && f.downs == 0);
    CHECK_ERR(link_why(f.link), UNAVAILABLE);
    CHECK(link_room(f.link) == 0);
    struct link_stream *s;
    const struct link_request req = { .path = BYTES_LIT("/") };
    CHECK_ERR(link_submit(f.link, &req, &s, NULL), UNAVAILABLE);
    const struct sock_addr at = f.addr;
    listen_at(&f, &at);
    run_until(&f, is_up);
    submit(&f, &f.calls[0], 10);
    run_until(&f, first_closed);
    CHECK(f.calls[0].why == LINK_DONE);
    dismiss(&f);
}

/* Lower bounds only: a pause is at least half of 10, 20, 40, 40 ms. */
static void pauses_between_dials_grow(void **state)
{
    (void)state;
    struct fixture f;
    make(&f);
    struct link_settings settings = { .addr = addr_of(unix_text()),
                                      .redial_min_ms = 10,
                                      .redial_max_ms = 40 };
    CHECK_OK(link_open(&f.link, f.loop, &settings, &client_words, &f));
    f.want = 1;
    run_until(&f, has_dialled);
    uint64_t first_ms = loop_now_ms(f.loop);
    f.want = 5;
    run_until(&f, has_dialled);
    CHECK(loop_now_ms(f.loop) - first_ms >= 5 + 10 + 20 + 20);
    dismiss(&f);
}

static void after_a_loss_streams_are_told_then_it_dials_again(void **state)
{
    (void)state;
    struct fixture f;
    connect_at(&f, "127.0.0.1:0");
    f.mode = HOLD;
    submit(&f, &f.calls[0], 10);
    submit(&f, &f.calls[1], (size_t)10 * LINK_WINDOW);
    f.want = 2;
    run_until(&f, server_has_request);
    link_close(f.accepted);
    run_until(&f, is_down);
    CHECK(f.calls[0].closes == 1 && f.calls[0].why == LINK_LOST);
    CHECK(f.calls[1].closes == 1 && f.calls[1].why == LINK_LOST);
    CHECK(f.server_closed == 2 && f.server_why == LINK_LOST);
    CHECK_ERR(f.why, CLOSED);
    /* Who closes a link is not told that it is down. */
    CHECK(f.server_downs == 0);
    run_until(&f, is_back);
    f.mode = ECHO;
    submit(&f, &f.calls[0], 10);
    run_until(&f, first_closed);
    CHECK(f.calls[0].why == LINK_DONE && link_counts(f.link)->dials >= 2);
    dismiss(&f);
}

static void what_never_left_is_refused_what_left_is_lost(void **state)
{
    (void)state;
    struct fixture f;
    connect_at(&f, "127.0.0.1:0");
    f.mode = HOLD;
    submit(&f, &f.calls[0], 10);
    f.want = 1;
    run_until(&f, server_has_request);
    submit(&f, &f.calls[1], 10);
    link_close(f.link);
    link_close(f.link);
    f.link = NULL;
    CHECK(f.calls[0].closes == 0 && f.calls[1].closes == 0);
    turn(&f);
    CHECK(f.calls[0].closes == 1 && f.calls[0].why == LINK_LOST);
    CHECK(f.calls[1].closes == 1 && f.calls[1].why == LINK_REFUSED);
    CHECK(f.downs == 0);
    dismiss(&f);
}

static void a_leaving_worker_finishes_while_a_fresh_connection_takes_over(void **state)
{
    (void)state;
    struct fixture f;
    connect_at(&f, "127.0.0.1:0");
    f.mode = HOLD;
    submit(&f, &f.calls[0], 10);
    f.want = 1;
    run_until(&f, server_has_request);
    struct link_stream *old = f.at_server;
    struct link *old_link = f.accepted;
    link_listener_drain(f.listener);
    f.other = f.listener;
    const struct sock_addr at = f.addr;
    listen_at(&f, &at);
    run_until(&f, is_back);
    CHECK(f.downs == 1 && f.calls[0].closes == 0);
    CHECK_ERR(f.why, CLOSED);
    CHECK(f.accepted != old_link && link_streams(f.link) == 1);
    f.mode = ECHO;
    submit(&f, &f.calls[1], 10);
    run_until(&f, second_closed);
    CHECK(f.calls[1].why == LINK_DONE && f.calls[0].closes == 0);
    CHECK(link_listener_links(f.other) == 1);

    /* The old one ends well, and only then does its connection go. */
    CHECK_OK(link_respond(old, 200, NULL, 0, true));
    run_until(&f, first_closed);
    CHECK(f.calls[0].why == LINK_DONE && f.calls[0].status == 200);
    struct link_listener *now = f.listener;
    f.listener = f.other;
    run_until(&f, server_is_empty);
    CHECK(f.server_downs == 1 && is_up(&f));
    f.listener = now;
    dismiss(&f);
}

static void a_draining_client_finishes_and_says_so(void **state)
{
    (void)state;
    struct fixture f;
    connect_at(&f, unix_text());
    f.mode = HOLD;
    submit(&f, &f.calls[0], 10);
    f.want = 1;
    run_until(&f, server_has_request);
    link_drain(f.link);
    link_drain(f.link);
    CHECK(!link_is_up(f.link) && link_room(f.link) == 0 && f.downs == 0);
    turn(&f);
    CHECK(f.downs == 0);
    CHECK_OK(link_respond(f.at_server, 200, NULL, 0, true));
    run_until(&f, is_down);
    CHECK(f.calls[0].why == LINK_DONE);
    CHECK_ERR(f.why, CLOSED);
    run_until(&f, server_is_empty);
    CHECK(link_counts(f.link)->dials == 1);
    dismiss(&f);
}

static bool has_struck(struct fixture *f)
{
    return f->strike == NULL;
}

static bool has_struck_or_is_up(struct fixture *f)
{
    return has_struck(f) || is_up(f);
}

static bool both_closed(struct fixture *f)
{
    return f->calls[0].closes > 0 && f->calls[1].closes > 0;
}

static void close_inside(const char *where, bool server)
{
    struct fixture f;
    const struct sock_addr at = addr_of(unix_text());
    bool by_other_end = strcmp(where, "down") == 0;
    make(&f);
    f.strike = where;
    f.strike_server = server;
    listen_at(&f, &at);
    dial_with(&f, (struct link_settings){ 0 });
    run_until(&f, has_struck_or_is_up);
    if (!has_struck(&f)) {
        submit(&f, &f.calls[0], (size_t)5 * LINK_WINDOW);
        submit(&f, &f.calls[1], 0);
        if (by_other_end)
            run_until(&f, second_closed);
        if (by_other_end)
            link_close(server ? f.link : f.accepted);
        if (by_other_end && server)
            f.link = NULL;
        run_until(&f, has_struck);
        run_until(&f, both_closed);
        turn(&f);
        CHECK(f.calls[0].closes == 1 && f.calls[1].closes == 1);
    }
    dismiss(&f);
}

static void a_link_may_be_closed_inside_any_callback(void **state)
{
    (void)state;
    static const char *const at_client[] = { "up",     "head",     "data",   "end",
                                             "hungry", "writable", "closed", "down" };
    static const char *const at_server[] = { "up",       "request", "data", "end",
                                             "writable", "closed",  "down" };
    for (size_t i = 0; i < ARRAY_LEN(at_client); i++)
        close_inside(at_client[i], false);
    for (size_t i = 0; i < ARRAY_LEN(at_server); i++)
        close_inside(at_server[i], true);
}

static void a_stream_may_reset_others_inside_its_callback(void **state)
{
    (void)state;
    struct fixture f;
    connect_at(&f, unix_text());
    f.mode = HOLD;
    for (size_t i = 0; i < 10; i++)
        submit(&f, &f.calls[i], 10);
    f.want = 10;
    run_until(&f, server_has_request);
    for (size_t i = 1; i < 10; i++) {
        link_stream_reset(f.calls[i].stream, LINK_CANCEL);
        /* Dead, but harmless until the end of the turn. */
        CHECK_ERR(link_stream_write(f.calls[i].stream, BYTES_LIT("x"), false), CLOSED);
        link_stream_consume(f.calls[i].stream, 1);
    }
    f.want = 9;
    run_until(&f, server_has_closed);
    CHECK(link_streams(f.link) == 1);
    link_listener_free(f.listener);
    f.listener = NULL;
    run_until(&f, first_closed);
    CHECK(f.calls[0].why == LINK_LOST);
    dismiss(&f);
}

static void many_clients_leaving_at_once_do_not_hurt_the_link(void **state)
{
    (void)state;
    enum { LEAVING = 1500 };
    static struct call calls[LEAVING];
    struct fixture f;
    connect_at(&f, "127.0.0.1:0");
    f.mode = HOLD;
    for (size_t round = 1; round <= 3; round++) {
        for (size_t i = 0; i < LEAVING; i++)
            submit(&f, &calls[i], 100);
        f.want = round * LEAVING;
        run_until(&f, server_has_request);
        for (size_t i = 0; i < LEAVING; i++)
            link_stream_reset(calls[i].stream, LINK_CANCEL);
        run_until(&f, server_has_closed);
    }
    f.mode = ECHO;
    submit(&f, &f.calls[0], 100);
    run_until(&f, first_closed);
    CHECK(f.calls[0].why == LINK_DONE && link_counts(f.link)->dials == 1 && f.downs == 0);
    dismiss(&f);
}

/* ---- peers that do not behave ---- */

/* A listening socket that only the kernel answers; *fd is the accepted connection's. */
struct mute {
    int listening, fd;
    const char *hello;
    size_t hello_len;
    struct loop_fd *watch;
};

static void on_mute_waiting(void *owner, unsigned ready)
{
    struct mute *m = owner;
    (void)ready;
    sock_close(&m->fd);
    CHECK_OK(sock_accept(m->listening, &m->fd));
    size_t n;
    if (m->fd >= 0 && m->hello_len > 0)
        (void)sock_send(m->fd, bytes_of(m->hello, m->hello_len), &n);
}

static void open_mute(struct fixture *f, struct mute *m, const char *hello, size_t len)
{
    *m = (struct mute){ .listening = -1, .fd = -1, .hello = hello, .hello_len = len };
    f->addr = addr_of(unix_text());
    CHECK_OK(sock_listen(&f->addr, 0, &m->listening));
    CHECK_OK(loop_fd_open(&m->watch, f->loop, m->listening, on_mute_waiting, m));
    CHECK_OK(loop_fd_want(m->watch, LOOP_READ));
}

static void close_mute(struct fixture *f, struct mute *m)
{
    loop_fd_close(m->watch);
    sock_close(&m->fd);
    sock_unlisten(&f->addr, &m->listening);
}

static void a_peer_that_falls_silent_is_given_up(void **state)
{
    (void)state;
    struct fixture f;
    struct mute m;
    make(&f);
    open_mute(&f, &m, "\0\0\0\4\0\0\0\0\0", 9);
    dial_with(&f, (struct link_settings){ .ping_ms = 5, .ping_timeout_ms = 5 });
    run_until(&f, is_up);
    submit(&f, &f.calls[0], 10);
    run_until(&f, is_down);
    CHECK_ERR(f.why, TIMEOUT);
    CHECK(f.calls[0].why == LINK_LOST);
    run_until(&f, is_back);
    close_mute(&f, &m);
    dismiss(&f);
}

static bool is_silent(struct fixture *f)
{
    return link_is_silent(f->link);
}

static void a_peer_that_owes_a_sign_is_known(void **state)
{
    (void)state;
    struct fixture f;
    struct mute m;
    make(&f);
    open_mute(&f, &m, "\0\0\0\4\0\0\0\0\0", 9);
    dial_with(&f, (struct link_settings){ .ping_ms = 5, .ping_timeout_ms = 3600000 });
    CHECK(!is_silent(&f));
    run_until(&f, is_up);
    CHECK(!is_silent(&f));
    run_until(&f, is_silent);
    CHECK(is_up(&f) && f.downs == 0);
    CHECK(write(m.fd, "\0\0\0\4\1\0\0\0\0", 9) == 9); /* any sign */
    f.want = link_counts(f.link)->receives + 1;
    run_until(&f, has_received);
    CHECK(!is_silent(&f));
    close_mute(&f, &m);
    dismiss(&f);
}

static void a_peer_that_never_greets_is_given_up(void **state)
{
    (void)state;
    struct fixture f;
    struct mute m;
    make(&f);
    open_mute(&f, &m, NULL, 0);
    dial_with(&f, (struct link_settings){ .connect_ms = 5 });
    f.want = 3;
    run_until(&f, has_dialled);
    CHECK(f.ups == 0);
    CHECK_ERR(link_why(f.link), TIMEOUT);
    close_mute(&f, &m);
    dismiss(&f);
}

static void a_peer_that_speaks_something_else_is_given_up(void **state)
{
    (void)state;
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    struct fixture f;
    struct mute m;
    make(&f);
    open_mute(&f, &m, answer, sizeof answer - 1);
    dial_with(&f, (struct link_settings){ 0 });
    f.want = 3;
    run_until(&f, has_dialled);
    CHECK(f.ups == 0);
    CHECK_ERR(link_why(f.link), MALFORMED);
    close_mute(&f, &m);
    dismiss(&f);
}

static void pings_keep_a_quiet_link_alive(void **state)
{
    (void)state;
    struct fixture f;
    const struct sock_addr at = addr_of(unix_text());
    make(&f);
    listen_at(&f, &at);
    dial_with(&f, (struct link_settings){ .ping_ms = 1, .ping_timeout_ms = 10000 });
    run_until(&f, is_up);
    f.want = link_counts(f.link)->receives + 5;
    run_until(&f, has_received);
    CHECK(is_up(&f) && f.downs == 0);
    dismiss(&f);
}

/* A client of bare bytes. */
struct raw {
    struct fixture *f;
    int fd;
    struct loop_fd *watch;
    bool over;
};

static void on_raw(void *owner, unsigned ready)
{
    struct raw *r = owner;
    uint8_t room[1024];
    size_t n;
    (void)ready;
    enum sock_step step = sock_receive(r->fd, room, sizeof room, &n);
    if (step != SOCK_ENDED && step != SOCK_BROKEN)
        return;
    r->over = true;
    CHECK_OK(loop_fd_want(r->watch, 0));
    loop_stop(r->f->loop);
}

static void speak_raw(struct fixture *f, bytes in)
{
    struct raw r = { .f = f, .fd = -1 };
    size_t n;
    CHECK_OK(sock_connect(&f->addr, NULL, &r.fd));
    CHECK_OK(loop_fd_open(&r.watch, f->loop, r.fd, on_raw, &r));
    CHECK_OK(loop_fd_want(r.watch, LOOP_READ));
    CHECK(in.len == 0 || sock_send(r.fd, in, &n) == SOCK_MOVED);
    loop_run(f->loop);
    CHECK(r.over);
    loop_fd_close(r.watch);
    sock_close(&r.fd);
}

static void a_server_sends_strangers_away_and_serves_on(void **state)
{
    (void)state;
    struct fixture f;
    connect_at(&f, unix_text());
    speak_raw(&f, BYTES_LIT("GET / HTTP/1.1\r\n\r\n"));
    BUF_AUTO flood = BUF(100000);
    CHECK_OK(buf_add(&flood, BYTES_LIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")));
    for (size_t i = 0; i < 1000; i++)
        CHECK_OK(buf_add(&flood, BYTES_LIT("\0\0\10\6\0\0\0\0\0aaaabbbb")));
    speak_raw(&f, buf_view(&flood));
    submit(&f, &f.calls[0], 10);
    run_until(&f, first_closed);
    CHECK(f.calls[0].why == LINK_DONE && link_listener_links(f.listener) == 1);
    dismiss(&f);
}

static void a_client_that_never_greets_is_closed(void **state)
{
    (void)state;
    struct fixture f;
    const struct link_limits short_hello = { .hello_ms = 5 };
    limits = &short_hello;
    connect_at(&f, unix_text());
    speak_raw(&f, (bytes){ 0 });
    CHECK(is_up(&f) && f.server_ups == 1 && f.server_downs == 0);
    limits = &no_limits;
    dismiss(&f);
}

/* The peer of this one answers no ping either, but it has an hour for that. */
static void a_head_that_never_ends_is_not_waited_for(void **state)
{
    (void)state;
    struct fixture f;
    const struct link_limits slow = { .ping_ms = 5, .ping_timeout_ms = 3600000, .head_ms = 1 };
    limits = &slow;
    connect_at(&f, unix_text());
    BUF_AUTO begun = BUF(256);
    CHECK_OK(buf_add(&begun, BYTES_LIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")));
    CHECK_OK(buf_add(&begun, BYTES_LIT("\0\0\100\1\5\0\0\0\1\202")));
    speak_raw(&f, buf_view(&begun));
    limits = &no_limits;
    dismiss(&f);
}

static void connections_over_the_limit_are_closed_unread(void **state)
{
    (void)state;
    struct fixture f;
    const struct link_limits two = { .connections_max = 2 };
    struct link *second;
    limits = &two;
    connect_at(&f, unix_text());
    struct link_settings settings = { .addr = f.addr, .redial_min_ms = 1, .redial_max_ms = 1 };
    CHECK_OK(link_open(&second, f.loop, &settings, &client_words, &f));
    run_until(&f, is_back);
    speak_raw(&f, (bytes){ 0 });
    CHECK(link_listener_links(f.listener) == 2 && f.server_ups == 2);
    limits = &no_limits;
    link_close(second);
    dismiss(&f);
}

static void an_idle_connection_is_drained(void **state)
{
    (void)state;
    struct fixture f;
    const struct link_limits idle = { .idle_ms = 3 };
    limits = &idle;
    connect_at(&f, unix_text());
    f.mode = HOLD;
    submit(&f, &f.calls[0], 10);
    f.want = 1;
    run_until(&f, server_has_request);
    CHECK_OK(link_respond(f.at_server, 200, NULL, 0, true));
    run_until(&f, is_back);
    CHECK(f.calls[0].why == LINK_DONE);
    CHECK_ERR(f.why, CLOSED);
    limits = &no_limits;
    dismiss(&f);
}

static void a_wrong_certificate_keeps_the_link_down(void **state)
{
    (void)state;
    struct fixture f;
    const struct sock_addr at = addr_of("tls://127.0.0.1:0");
    make(&f);
    listen_at(&f, &at);
    struct link_settings settings = { .addr = f.addr,
                                      .tls = client_tls,
                                      .server_name = "somebody.else",
                                      .redial_min_ms = 1,
                                      .redial_max_ms = 1 };
    CHECK_OK(link_open(&f.link, f.loop, &settings, &client_words, &f));
    f.want = 3;
    run_until(&f, has_dialled);
    CHECK(f.ups == 0);
    CHECK_ERR(link_why(f.link), UNTRUSTED);
    dismiss(&f);
}

static void tls_context_and_address_must_agree(void **state)
{
    (void)state;
    struct fixture f;
    make(&f);
    struct link_settings settings = { .addr = addr_of("tls://127.0.0.1:1") };
    CHECK_ERR(link_open(&f.link, f.loop, &settings, &client_words, &f), CONFIG);
    settings.addr = addr_of("127.0.0.1:1");
    settings.tls = client_tls;
    CHECK_ERR(link_open(&f.link, f.loop, &settings, &client_words, &f), CONFIG);
    settings.addr = addr_of("tls://127.0.0.1:0");
    CHECK_ERR(link_listen(&f.listener, f.loop, &settings.addr, NULL, &no_limits, &server_words, &f),
              CONFIG);
    dismiss(&f);
}

/* Whatever allocation fails, a request that is repeated comes through in the end. */
static err persist(void *arg)
{
    struct fixture *f = arg;
    const struct sock_addr at = addr_of(unix_text());
    const struct link_request req = { .method = BYTES_LIT("GET"),
                                      .path = BYTES_LIT("/"),
                                      .end = true };
    struct link_settings settings = { .addr = at, .redial_min_ms = 1, .redial_max_ms = 1 };
    struct call *c = &f->calls[0];
    *c = (struct call){ .f = f };
    err e = link_listen(&f->listener, f->loop, &at, NULL, &no_limits, &server_words, f);
    if (err_is_ok(e))
        e = link_open(&f->link, f->loop, &settings, &client_words, f);
    while (err_is_ok(e) && c->why != LINK_DONE) {
        run_until(f, is_up);
        *c = (struct call){ .f = f };
        e = link_submit(f->link, &req, &c->stream, c);
        if (err_is_ok(e))
            run_until(f, first_closed);
    }
    link_close(f->link);
    link_listener_free(f->listener);
    f->link = NULL;
    f->listener = NULL;
    turn(f);
    turn(f);
    return e;
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    struct fixture f;
    make(&f);
    f.mode = SWALLOW;
    law_every_allocation_fails_once(persist, &f);
    dismiss(&f);
}

/* ---- the made-up world's certificates ---- */

static char folder[] = "/tmp/sealgate-link-XXXXXX";
static char root_path[64], cert_path[64], key_path[64];

static void write_certificates(void)
{
    const int64_t now = clock_wall_s();
    struct pki_spec spec = { .name = "root",
                             .constraints = "critical,CA:TRUE",
                             .from_s = now - 1000,
                             .until_s = now + 1000 };
    struct pki_cert *root = pki_new(&spec);
    spec = (struct pki_spec){ .name = "worker",
                              .san = "DNS:worker.test",
                              .issuer = root,
                              .from_s = now - 1000,
                              .until_s = now + 1000 };
    struct pki_cert *leaf = pki_new(&spec);
    pki_write_chain(root_path, (const struct pki_cert *const[]){ root }, 1);
    pki_write_chain(cert_path, (const struct pki_cert *const[]){ leaf }, 1);
    pki_write_key(key_path, leaf);
    pki_free(leaf);
    pki_free(root);
}

static int set_up(void **state)
{
    (void)state;
    CHECK(mkdtemp(folder) != NULL);
    (void)snprintf(root_path, sizeof root_path, "%s/root", folder);
    (void)snprintf(cert_path, sizeof cert_path, "%s/cert", folder);
    (void)snprintf(key_path, sizeof key_path, "%s/key", folder);
    CHECK_OK(crypto_init());
    write_certificates();
    const struct tls_settings client = { .ca_path = root_path, .alpn = "h2" };
    const struct tls_settings server = { .cert_path = cert_path,
                                         .key_path = key_path,
                                         .alpn = "h2" };
    CHECK_OK(tls_context_new(&client_tls, &client, false));
    CHECK_OK(tls_context_new(&server_tls, &server, true));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tls_context_free(client_tls);
    tls_context_free(server_tls);
    (void)unlink(root_path);
    (void)unlink(cert_path);
    (void)unlink(key_path);
    (void)rmdir(folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_requests_over_tcp_and_unix),
        cmocka_unit_test(carries_requests_over_tls),
        cmocka_unit_test(carries_requests_over_vsock),
        cmocka_unit_test(what_a_turn_writes_leaves_in_one_send),
        cmocka_unit_test(large_bodies_flow_under_back_pressure),
        cmocka_unit_test(large_bodies_flow_over_tls),
        cmocka_unit_test(a_reader_that_does_not_consume_stops_its_sender_only),
        cmocka_unit_test(a_reset_reaches_the_other_end),
        cmocka_unit_test(dials_until_somebody_answers),
        cmocka_unit_test(pauses_between_dials_grow),
        cmocka_unit_test(after_a_loss_streams_are_told_then_it_dials_again),
        cmocka_unit_test(what_never_left_is_refused_what_left_is_lost),
        cmocka_unit_test(a_leaving_worker_finishes_while_a_fresh_connection_takes_over),
        cmocka_unit_test(a_draining_client_finishes_and_says_so),
        cmocka_unit_test(a_link_may_be_closed_inside_any_callback),
        cmocka_unit_test(a_stream_may_reset_others_inside_its_callback),
        cmocka_unit_test(many_clients_leaving_at_once_do_not_hurt_the_link),
        cmocka_unit_test(a_peer_that_falls_silent_is_given_up),
        cmocka_unit_test(a_peer_that_owes_a_sign_is_known),
        cmocka_unit_test(a_peer_that_never_greets_is_given_up),
        cmocka_unit_test(a_peer_that_speaks_something_else_is_given_up),
        cmocka_unit_test(pings_keep_a_quiet_link_alive),
        cmocka_unit_test(a_server_sends_strangers_away_and_serves_on),
        cmocka_unit_test(a_client_that_never_greets_is_closed),
        cmocka_unit_test(a_head_that_never_ends_is_not_waited_for),
        cmocka_unit_test(connections_over_the_limit_are_closed_unread),
        cmocka_unit_test(an_idle_connection_is_drained),
        cmocka_unit_test(a_wrong_certificate_keeps_the_link_down),
        cmocka_unit_test(tls_context_and_address_must_agree),
        cmocka_unit_test(survives_every_failing_allocation),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
