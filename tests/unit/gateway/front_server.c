#include "tests/unit/gateway/front_server.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sock.h"
#include "base/text.h"

const struct front_field plain = { { (const uint8_t *)"Content-Type", 12 },
                                   { (const uint8_t *)"text/plain", 10 } };

/* ---- the owner ---- */

static bool path_is(const struct front_request *r, const char *path)
{
    return bytes_equal(front_path(r), bytes_str(path));
}

static void on_request(void *owner, struct front_request *r)
{
    struct server *s = owner;
    front_set_owner(r, s);
    s->last = r;
    s->requests++;
    s->body_len = 0;
    buf_truncate(&s->body, 0);
    CHECK_OK(buf_add(&s->log, front_path(r)));
    CHECK_OK(buf_add_u8(&s->log, ' '));
    if (path_is(r, "/now"))
        CHECK_OK(front_respond(r, 200, &plain, 1, BYTES_LIT("now")));
    if (path_is(r, "/hold"))
        front_body_pause(r);
    if (path_is(r, "/drop"))
        front_abort(r);
    if (path_is(r, "/pieces") &&
        (!err_is_ok(front_begin(r, 200, &plain, 1, FRONT_CHUNKED)) ||
         !err_is_ok(front_write(r, BYTES_LIT("pieces"))) || !err_is_ok(front_end(r, NULL, 0))))
        front_abort(r);
}

static void on_body(struct front_request *r, bytes piece)
{
    struct server *s = front_owner(r);
    CHECK(piece.len > 0);
    CHECK(piece.len <= FRONT_PIECE_MAX);
    s->body_len += piece.len;
    if (piece.len > s->piece_max)
        s->piece_max = piece.len;
    if (s->keep_body)
        CHECK_OK(buf_add(&s->body, piece));
    if (path_is(r, "/early") && s->body_len == piece.len)
        CHECK_OK(front_respond(r, 503, &plain, 1, BYTES_LIT("early")));
}

static void on_body_end(struct front_request *r)
{
    struct server *s = front_owner(r);
    s->body_ends++;
    if (path_is(r, "/echo"))
        CHECK_OK(front_respond(r, 200, &plain, 1, buf_view(&s->body)));
    if (path_is(r, "/size")) {
        BUF_AUTO text = BUF(64);
        CHECK_OK(buf_addf(&text, "%zu bytes", s->body_len));
        CHECK_OK(front_respond_take(r, 200, &plain, 1, &text));
        CHECK(text.len == 0);
    }
    if (path_is(r, "/stream"))
        CHECK_OK(front_begin(r, 200, &plain, 1, FRONT_CHUNKED));
    if (path_is(r, "/sized"))
        CHECK_OK(front_begin(r, 200, &plain, 1, 10));
}

static void on_writable(struct front_request *r)
{
    struct server *s = front_owner(r);
    s->writable++;
}

static void on_gone(struct front_request *r)
{
    struct server *s = front_owner(r);
    s->gone++;
    if (s->last == r)
        s->last = NULL;
    CHECK_ERR(front_write(r, BYTES_LIT("late")), CLOSED);
    CHECK_ERR(front_respond(r, 200, NULL, 0, BYTES_LIT("late")), CLOSED);
}

static void on_done(struct front_request *r)
{
    struct server *s = front_owner(r);
    s->done++;
    if (s->last == r)
        s->last = NULL;
}

static void on_refused(void *owner, unsigned status, const char *reason)
{
    struct server *s = owner;
    CHECK(reason != NULL);
    s->refused++;
    s->refused_status = status;
}

static void on_drained(void *owner)
{
    struct server *s = owner;
    s->drained++;
}

const struct front_events server_events = {
    .request = on_request,
    .body = on_body,
    .body_end = on_body_end,
    .writable = on_writable,
    .gone = on_gone,
    .done = on_done,
    .refused = on_refused,
    .drained = on_drained,
};

/* ---- driving ---- */

void server_open(struct server *s, const struct front_settings *settings)
{
    *s = (struct server){ .body = BUF(SEEN_MAX), .log = BUF(65536), .keep_body = true };
    struct front_settings with = settings != NULL ? *settings : (struct front_settings){ 0 };
    struct sock_addr at;
    CHECK_OK(sock_addr_read(BYTES_LIT("127.0.0.1:0"), &at));
    with.listen = &at;
    CHECK_OK(loop_new(&s->loop));
    CHECK_OK(front_new(&s->front, s->loop, &with, &server_events, s));
    CHECK(front_port(s->front) != 0);
}

void server_close(struct server *s)
{
    front_free(s->front);
    CHECK(s->requests == s->gone + s->done);
    loop_free(s->loop);
    buf_clear(&s->body);
    buf_clear(&s->log);
}

void client_open(struct client *c, struct server *s)
{
    *c = (struct client){ .server = s, .in = BUF(SEEN_MAX) };
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(front_port(s->front)),
                              .sin_addr = { htonl(INADDR_LOOPBACK) } };
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(c->fd >= 0);
    CHECK(connect(c->fd, (struct sockaddr *)&to, sizeof to) == 0);
}

void client_close(struct client *c)
{
    tls_free(c->tls);
    c->tls = NULL;
    (void)close(c->fd);
    buf_clear(&c->in);
}

void turn(struct server *s)
{
    loop_stop(s->loop);
    loop_run(s->loop);
}

static void send_raw(struct client *c, bytes what)
{
    uint64_t give_up = clock_steady_ms() + PATIENCE_MS;
    while (what.len > 0) {
        ssize_t n = send(c->fd, what.at, what.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return; /* the server has closed: what it answered is what counts */
        bytes sent;
        if (n > 0)
            CHECK(bytes_take(&what, (size_t)n, &sent));
        if (what.len > 0) {
            turn(c->server);
            receive(c);
        }
        CHECK(clock_steady_ms() < give_up);
    }
}

static void flush_tls(struct client *c)
{
    BUF_AUTO out = BUF(4 * (size_t)TLS_PENDING_MAX);
    CHECK_OK(tls_take(c->tls, &out));
    send_raw(c, buf_view(&out));
}

static void arrived(struct client *c, bytes what)
{
    if (c->tls == NULL) {
        CHECK_OK(buf_add(&c->in, what));
        return;
    }
    CHECK_OK(tls_put(c->tls, what));
    CHECK_OK(tls_read(c->tls, &c->in));
    flush_tls(c);
}

void receive(struct client *c)
{
    static uint8_t part[65536];
    while (!c->ended) {
        ssize_t n = recv(c->fd, part, sizeof part, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return;
        c->ended = n <= 0;
        c->reset = n < 0;
        if (n > 0)
            arrived(c, bytes_of(part, (size_t)n));
    }
}

void send_bytes(struct client *c, bytes what)
{
    if (c->tls == NULL) {
        send_raw(c, what);
        return;
    }
    for (bytes part; what.len > 0; what = bytes_slice(what, part.len, what.len)) {
        part = bytes_slice(what, 0, TLS_PENDING_MAX / 4);
        CHECK_OK(tls_write(c->tls, part));
        flush_tls(c);
    }
}

void send_text(struct client *c, const char *text)
{
    send_bytes(c, bytes_str(text));
}

bool saw(struct client *c, const char *text)
{
    return text_find(buf_view(&c->in), bytes_str(text)) < c->in.len;
}

size_t times(struct client *c, const char *text)
{
    size_t n = 0;
    bytes rest = buf_view(&c->in);
    for (size_t at; (at = text_find(rest, bytes_str(text))) < rest.len; n++)
        rest = bytes_slice(rest, at + 1, rest.len);
    return n;
}
