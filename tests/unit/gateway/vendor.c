#include "tests/unit/gateway/vendor.h"

#include <errno.h>
#include <ftw.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "tests/unit/crypto/pki.h"

enum { HEAD_MAX = 16384, REQUEST_MAX = 640 * 1024, DAY_S = 86400 };

struct vendor_connection {
    struct vendor *vendor;
    struct vendor_connection *next;
    struct vendor_connection **prev;
    int fd;
    struct loop_fd *watch;
    struct tls *tls;
    struct buf in;
    struct buf out;
    bool last; /* to be closed when all is sent */
};

/* ---- files ---- */

static void write_cert(const char *folder, const char *name, const struct pki_cert *cert)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    pki_write_chain(path, &cert, 1);
}

void vendor_make_files(const char *folder)
{
    int64_t now = clock_wall_s();
    struct pki_spec spec = { .name = "Vendor CA",
                             .constraints = "critical,CA:TRUE",
                             .from_s = now - DAY_S,
                             .until_s = now + DAY_S };
    char path[1024];
    struct pki_cert *ca = pki_new(&spec);
    spec.name = "Other CA";
    struct pki_cert *other = pki_new(&spec);
    struct pki_cert *server = pki_new(&(struct pki_spec){ .name = "vendor",
                                                          .san = "IP:127.0.0.1",
                                                          .issuer = ca,
                                                          .constraints = "critical,CA:FALSE",
                                                          .from_s = now - DAY_S,
                                                          .until_s = now + DAY_S });
    write_cert(folder, "ca.pem", ca);
    write_cert(folder, "other.pem", other);
    write_cert(folder, "server.pem", server);
    (void)snprintf(path, sizeof path, "%s/server.key", folder);
    pki_write_key(path, server);
    pki_free(ca);
    pki_free(other);
    pki_free(server);
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *place)
{
    (void)about;
    (void)kind;
    (void)place;
    return remove(path);
}

void vendor_remove(const char *folder)
{
    CHECK(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
}

/* ---- connections ---- */

static void close_connection(struct vendor_connection *c)
{
    loop_fd_close(c->watch);
    (void)close(c->fd);
    tls_free(c->tls);
    buf_clear(&c->in);
    buf_clear(&c->out);
    *c->prev = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    mem_free(c);
}

/* True when the connection still stands. */
static bool send_what_waits(struct vendor_connection *c)
{
    while (c->out.len > 0) {
        ssize_t n = send(c->fd, c->out.at, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0) {
            close_connection(c);
            return false;
        }
        buf_drop(&c->out, (size_t)n);
    }
    if (c->out.len == 0 && c->last) {
        close_connection(c);
        return false;
    }
    CHECK_OK(loop_fd_want(c->watch, LOOP_READ | (c->out.len > 0 ? LOOP_WRITE : 0U)));
    return true;
}

static void say(struct vendor_connection *c, bytes text)
{
    if (c->tls == NULL) {
        CHECK_OK(buf_add(&c->out, text));
        return;
    }
    for (bytes part; text.len > 0; text = bytes_slice(text, part.len, text.len)) {
        part = bytes_slice(text, 0, TLS_PENDING_MAX / 4);
        CHECK_OK(tls_write(c->tls, part));
        CHECK_OK(tls_take(c->tls, &c->out));
    }
}

static struct vendor_route *find_route(struct vendor *v, bytes path, bytes content)
{
    for (size_t i = 0; i < v->routes_n; i++) {
        if (bytes_equal(path, bytes_str(v->routes[i].path)) &&
            bytes_equal(content, buf_view(&v->routes[i].content)))
            return &v->routes[i];
    }
    return NULL;
}

static void say_end(struct vendor_connection *c)
{
    c->last = true;
    if (c->tls == NULL)
        return;
    CHECK_OK(tls_close_notify(c->tls));
    CHECK_OK(tls_take(c->tls, &c->out));
}

static void answer_route(struct vendor_connection *c, struct vendor_route *r)
{
    BUF_AUTO head = BUF(2 * sizeof r->fields);
    bytes body = buf_view(&r->body);
    r->asked++;
    if (r->manner == VENDOR_SILENT)
        return;
    CHECK_OK(buf_addf(&head, "HTTP/1.1 %u X\r\n%s", r->status, r->fields));
    if (r->manner != VENDOR_STREAMS)
        CHECK_OK(buf_addf(&head, "Content-Length: %zu\r\n", body.len));
    CHECK_OK(buf_add_str(&head, "\r\n"));
    say(c, buf_view(&head));
    if (r->manner == VENDOR_HANGS)
        return;
    say(c, r->manner == VENDOR_CUTS ? bytes_slice(body, 0, body.len / 2) : body);
    if (r->manner == VENDOR_STREAMS)
        say_end(c);
    c->last = c->last || r->manner == VENDOR_CUTS;
}

static void answer(struct vendor_connection *c, bytes head, bytes content)
{
    size_t space = text_find(head, BYTES_LIT(" "));
    bytes target = bytes_slice(head, space + 1, head.len);
    bytes path = bytes_slice(target, 0, text_find(target, BYTES_LIT(" ")));
    struct vendor_route *r = find_route(c->vendor, path, content);
    CHECK(bytes_starts(head, BYTES_LIT("GET ")) || bytes_starts(head, BYTES_LIT("POST ")));
    CHECK(text_find(head, BYTES_LIT("Expect:")) == head.len);
    CHECK(text_find(head, BYTES_LIT("Accept-Encoding")) == head.len);
    c->vendor->asked++;
    if (r != NULL)
        answer_route(c, r);
    else
        say(c, BYTES_LIT("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone"));
}

static size_t content_len(bytes head)
{
    const bytes name = BYTES_LIT("\r\nContent-Length: ");
    uint64_t len = 0;
    size_t at = text_find(head, name);
    if (!bytes_starts(head, BYTES_LIT("POST ")))
        return 0;
    CHECK(at < head.len);
    CHECK(text_find(head, BYTES_LIT("\r\nContent-Type: ")) < head.len);
    bytes value = bytes_slice(head, at + name.len, head.len);
    CHECK(text_u64(bytes_slice(value, 0, text_find(value, BYTES_LIT("\r"))), &len));
    return (size_t)len;
}

static void answer_all(struct vendor_connection *c)
{
    const bytes end = BYTES_LIT("\r\n\r\n");
    for (size_t at; (at = text_find(buf_view(&c->in), end)) < c->in.len;) {
        bytes in = buf_view(&c->in), head = bytes_slice(in, 0, at);
        size_t body = at + end.len, len = content_len(head);
        if (in.len - body < len)
            return;
        answer(c, head, bytes_slice(in, body, len));
        buf_drop(&c->in, body + len);
    }
}

/* False when the peer is gone. */
static bool receive(struct vendor_connection *c)
{
    uint8_t part[4096];
    ssize_t n = recv(c->fd, part, sizeof part, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return true;
    if (n <= 0)
        return false;
    if (c->tls == NULL) {
        CHECK_OK(buf_add(&c->in, bytes_of(part, (size_t)n)));
        return true;
    }
    err e = tls_put(c->tls, bytes_of(part, (size_t)n));
    if (err_is_ok(e))
        e = tls_read(c->tls, &c->in);
    CHECK_OK(tls_take(c->tls, &c->out));
    return err_is_ok(e);
}

static void on_connection(void *owner, unsigned ready)
{
    struct vendor_connection *c = owner;
    if ((ready & LOOP_READ) && !receive(c)) {
        close_connection(c);
        return;
    }
    answer_all(c);
    (void)send_what_waits(c);
}

static void on_listener(void *owner, unsigned ready)
{
    struct vendor *v = owner;
    struct vendor_connection *c;
    (void)ready;
    int fd = accept4(v->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    CHECK_OK(mem_new(&c));
    *c = (struct vendor_connection){ .vendor = v, .fd = fd, .in = BUF(REQUEST_MAX) };
    c->out = BUF(2 * (size_t)VENDOR_BODY_MAX);
    if (v->tls != NULL)
        CHECK_OK(tls_new(&c->tls, v->tls, NULL));
    c->next = v->connections;
    c->prev = &v->connections;
    if (c->next != NULL)
        c->next->prev = &c->next;
    v->connections = c;
    CHECK_OK(loop_fd_open(&c->watch, v->loop, fd, on_connection, c));
    CHECK_OK(loop_fd_want(c->watch, LOOP_READ));
}

/* ---- the server ---- */

static void open_tls(struct vendor *v, const char *folder)
{
    char cert[1024];
    char key[1024];
    (void)snprintf(cert, sizeof cert, "%s/server.pem", folder);
    (void)snprintf(key, sizeof key, "%s/server.key", folder);
    const struct tls_settings settings = {
        .cert_path = cert, .key_path = key, .alpn = "http/1.1", .alpn_optional = true
    };
    CHECK_OK(tls_context_new(&v->tls, &settings, true));
}

void vendor_open(struct vendor *v, struct loop *loop, const char *folder)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof at;
    *v = (struct vendor){ .loop = loop };
    if (folder != NULL)
        open_tls(v, folder);
    v->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CHECK(v->fd >= 0);
    CHECK(bind(v->fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(v->fd, 64) == 0);
    CHECK(getsockname(v->fd, (struct sockaddr *)&at, &len) == 0);
    v->port = ntohs(at.sin_port);
    (void)snprintf(v->base, sizeof v->base, "http%s://127.0.0.1:%u", folder != NULL ? "s" : "",
                   v->port);
    CHECK_OK(loop_fd_open(&v->watch, loop, v->fd, on_listener, v));
    CHECK_OK(loop_fd_want(v->watch, LOOP_READ));
}

void vendor_close(struct vendor *v)
{
    while (v->connections != NULL)
        close_connection(v->connections);
    loop_fd_close(v->watch);
    (void)close(v->fd);
    tls_context_free(v->tls);
    for (size_t i = 0; i < v->routes_n; i++) {
        buf_clear(&v->routes[i].content);
        buf_clear(&v->routes[i].body);
    }
}

struct vendor_route *vendor_route(struct vendor *v, const char *path, bytes body)
{
    return vendor_route_post(v, path, (bytes){ 0 }, body);
}

struct vendor_route *vendor_route_post(struct vendor *v, const char *path, bytes content,
                                       bytes body)
{
    struct vendor_route *r = find_route(v, bytes_str(path), content);
    if (r == NULL) {
        CHECK(v->routes_n < VENDOR_ROUTES_MAX && strlen(path) < sizeof r->path);
        r = &v->routes[v->routes_n++];
        r->content = BUF(REQUEST_MAX);
        r->body = BUF(VENDOR_BODY_MAX);
        memcpy(r->path, path, strlen(path));
        CHECK_OK(buf_add(&r->content, content));
    }
    r->status = 200;
    r->manner = VENDOR_ANSWERS;
    r->fields[0] = '\0';
    buf_truncate(&r->body, 0);
    CHECK_OK(buf_add(&r->body, body));
    return r;
}

void vendor_add_field(struct vendor_route *r, const char *name, bytes value)
{
    size_t at = strlen(r->fields);
    at += (size_t)snprintf(r->fields + at, sizeof r->fields - at, "%s: ", name);
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.at[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        CHECK(at + 8 < sizeof r->fields);
        at += (size_t)snprintf(r->fields + at, sizeof r->fields - at, plain ? "%c" : "%%%02X", c);
    }
    (void)snprintf(r->fields + at, sizeof r->fields - at, "\r\n");
}
