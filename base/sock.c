#include "base/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/text.h"

enum { BACKLOG = 4096 };

_Static_assert(sizeof((struct sockaddr_un *)0)->sun_path == SOCK_PATH_MAX + 1, "sun_path");
_Static_assert(SOCK_CID_ANY == VMADDR_CID_ANY, "any context id");

union any_addr {
    struct sockaddr head;
    struct sockaddr_storage room;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un path;
    struct sockaddr_vm vm;
};

/* ---- text ---- */

static bool cut_prefix(bytes *text, bytes prefix)
{
    if (!bytes_starts(*text, prefix))
        return false;
    *text = bytes_slice(*text, prefix.len, text->len);
    return true;
}

static err copy_text(bytes from, char *to, size_t max)
{
    ENSURE(from.len > 0 && from.len <= max, CONFIG);
    memcpy(to, from.at, from.len);
    to[from.len] = '\0';
    return OK;
}

static err read_number(bytes text, uint64_t max, uint32_t *out)
{
    uint64_t n;
    ENSURE(text_u64(text, &n) && n <= max, CONFIG);
    *out = (uint32_t)n;
    return OK;
}

/* Splits at the last colon. */
static err split(bytes text, bytes *head, bytes *tail)
{
    size_t at = text.len;
    while (at > 0 && text.at[at - 1] != ':')
        at--;
    ENSURE(at > 0, CONFIG);
    *head = bytes_slice(text, 0, at - 1);
    *tail = bytes_slice(text, at, text.len);
    return OK;
}

static bool is_host_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
}

static bool is_v6_byte(uint8_t c)
{
    return is_host_byte(c) || c == ':' || c == '%';
}

static err check_bytes(bytes text, bool (*allowed)(uint8_t))
{
    for (size_t i = 0; i < text.len; i++)
        ENSURE(allowed(text.at[i]), CONFIG);
    return OK;
}

static err read_host(bytes text, struct sock_addr *out)
{
    if (bytes_starts(text, BYTES_LIT("["))) {
        ENSURE(bytes_ends(text, BYTES_LIT("]")), CONFIG);
        text = bytes_slice(text, 1, text.len - 2);
        TRY(check_bytes(text, is_v6_byte));
        ENSURE(text_find(text, BYTES_LIT(":")) < text.len, CONFIG);
    } else if (!bytes_equal(text, BYTES_LIT("*"))) {
        TRY(check_bytes(text, is_host_byte));
    }
    return copy_text(text, out->host, SOCK_HOST_MAX);
}

static err read_tcp(bytes text, struct sock_addr *out)
{
    bytes host, port;
    out->kind = SOCK_KIND_TCP;
    out->tls = cut_prefix(&text, BYTES_LIT("tls://"));
    TRY(split(text, &host, &port));
    TRY(read_number(port, UINT16_MAX, &out->port));
    return read_host(host, out);
}

static err read_vsock(bytes text, struct sock_addr *out)
{
    bytes cid, port;
    out->kind = SOCK_KIND_VSOCK;
    TRY(split(text, &cid, &port));
    TRY(read_number(port, UINT32_MAX - 1, &out->port));
    out->cid = SOCK_CID_ANY;
    if (bytes_equal(cid, BYTES_LIT("*")))
        return OK;
    return read_number(cid, UINT32_MAX - 1, &out->cid);
}

static err read_unix(bytes text, struct sock_addr *out)
{
    out->kind = SOCK_KIND_UNIX;
    ENSURE(bytes_starts(text, BYTES_LIT("/")), CONFIG);
    ENSURE(memchr(text.at, 0, text.len) == NULL, CONFIG);
    return copy_text(text, out->path, SOCK_PATH_MAX);
}

static err read_addr(bytes text, struct sock_addr *out)
{
    if (cut_prefix(&text, BYTES_LIT("unix:")))
        return read_unix(text, out);
    if (cut_prefix(&text, BYTES_LIT("vsock:")))
        return read_vsock(text, out);
    return read_tcp(text, out);
}

err sock_addr_read(bytes text, struct sock_addr *out)
{
    struct sock_addr a = { 0 };
    TRY(read_addr(text, &a));
    *out = a;
    return OK;
}

static err write_vsock(const struct sock_addr *a, struct buf *out)
{
    if (a->cid == SOCK_CID_ANY)
        return buf_addf(out, "vsock:*:%u", a->port);
    return buf_addf(out, "vsock:%u:%u", a->cid, a->port);
}

static err write_tcp(const struct sock_addr *a, struct buf *out)
{
    bool v6 = strchr(a->host, ':') != NULL;
    return buf_addf(out, "%s%s%s%s:%u", a->tls ? "tls://" : "", v6 ? "[" : "", a->host,
                    v6 ? "]" : "", a->port);
}

err sock_addr_write(const struct sock_addr *a, struct buf *out)
{
    switch (a->kind) {
    case SOCK_KIND_TCP:
        return write_tcp(a, out);
    case SOCK_KIND_UNIX:
        return buf_addf(out, "unix:%s", a->path);
    case SOCK_KIND_VSOCK:
        return write_vsock(a, out);
    case SOCK_KIND_NONE:
        break;
    }
    FAIL(CONFIG);
}

/* ---- sockets ---- */

static err open_socket(int family, int *out)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        FAIL(UNSUPPORTED);
    *out = fd;
    return OK;
}

static void set_option(int fd, int level, int name)
{
    int on = 1;
    (void)setsockopt(fd, level, name, &on, sizeof on);
}

/* Harmless on what is not TCP. */
static void set_no_delay(int fd)
{
    set_option(fd, IPPROTO_TCP, TCP_NODELAY);
}

static socklen_t addr_len(const struct sockaddr *a)
{
    switch (a->sa_family) {
    case AF_INET:
        return sizeof(struct sockaddr_in);
    case AF_INET6:
        return sizeof(struct sockaddr_in6);
    case AF_UNIX:
        return sizeof(struct sockaddr_un);
    case AF_VSOCK:
        return sizeof(struct sockaddr_vm);
    default:
        return 0;
    }
}

enum { BOUND_ONLY = 2U }; /* beside SOCK_SHARED */

static err bind_and_listen(int fd, const struct sockaddr *a, unsigned flags)
{
    if (bind(fd, a, addr_len(a)) == 0 && ((flags & BOUND_ONLY) != 0 || listen(fd, BACKLOG) == 0))
        return OK;
    ENSURE(errno != EADDRINUSE, EXISTS);
    ENSURE(errno != EADDRNOTAVAIL && errno != ENODEV, UNSUPPORTED);
    ENSURE(errno != EACCES && errno != EPERM, DENIED);
    ENSURE(errno != ENOENT, NOT_FOUND);
    FAIL(SYSTEM);
}

static err listen_on(const struct sockaddr *a, unsigned flags, int *out_fd)
{
    int fd = -1;
    TRY(open_socket(a->sa_family, &fd));
    if (a->sa_family == AF_INET || a->sa_family == AF_INET6)
        set_option(fd, SOL_SOCKET, SO_REUSEADDR);
    if ((flags & SOCK_SHARED) != 0)
        set_option(fd, SOL_SOCKET, SO_REUSEPORT);
    /* Accepted sockets inherit it. */
    set_no_delay(fd);
    err e = bind_and_listen(fd, a, flags);
    if (!err_is_ok(e)) {
        sock_close(&fd);
        return e;
    }
    *out_fd = fd;
    return OK;
}

static err listen_tcp(const struct sock_addr *at, unsigned flags, int *out_fd)
{
    const bool any = strcmp(at->host, "*") == 0;
    /* No name means this machine's loopback, unless it is asked for passively: then any address.
     * For localhost see base/loop.c. */
    const bool here = text_equal_nocase(bytes_str(at->host), BYTES_LIT("localhost"));
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = here ? 0 : AI_PASSIVE };
    char port[16];
    struct addrinfo *found;
    const char *host = any || here ? NULL : at->host;
    (void)snprintf(port, sizeof port, "%u", at->port);
    ENSURE(getaddrinfo(host, port, &hints, &found) == 0, CONFIG);
    err e = OK;
    for (const struct addrinfo *i = found; i != NULL; i = i->ai_next) {
        e = listen_on(i->ai_addr, flags, out_fd);
        if (err_is_ok(e) || e.code == ERR_EXISTS)
            break;
    }
    freeaddrinfo(found);
    return e;
}

static void unix_addr(const struct sock_addr *at, union any_addr *out)
{
    *out = (union any_addr){ .path = { .sun_family = AF_UNIX } };
    memcpy(out->path.sun_path, at->path, sizeof out->path.sun_path);
}

static void vsock_addr(const struct sock_addr *at, union any_addr *out)
{
    *out = (union any_addr){
        .vm = { .svm_family = AF_VSOCK, .svm_port = at->port, .svm_cid = at->cid }
    };
}

/* True when a connection is answered or at least queued. */
static bool someone_listens(const union any_addr *a)
{
    int fd = -1;
    if (!err_is_ok(open_socket(AF_UNIX, &fd)))
        return true;
    bool refused = connect(fd, &a->head, sizeof a->path) != 0 && errno == ECONNREFUSED;
    sock_close(&fd);
    return !refused;
}

static err clear_stale_path(const union any_addr *a)
{
    struct stat s;
    if (lstat(a->path.sun_path, &s) != 0)
        return OK;
    ENSURE(S_ISSOCK(s.st_mode), EXISTS);
    ENSURE(!someone_listens(a), EXISTS);
    ENSURE(unlink(a->path.sun_path) == 0, SYSTEM);
    return OK;
}

err sock_listen(const struct sock_addr *at, unsigned flags, int *out_fd)
{
    union any_addr a;
    switch (at->kind) {
    case SOCK_KIND_TCP:
        return listen_tcp(at, flags, out_fd);
    case SOCK_KIND_UNIX:
        unix_addr(at, &a);
        TRY(clear_stale_path(&a));
        return listen_on(&a.head, 0, out_fd);
    case SOCK_KIND_VSOCK:
        vsock_addr(at, &a);
        return listen_on(&a.head, 0, out_fd);
    case SOCK_KIND_NONE:
        break;
    }
    FAIL(CONFIG);
}

err sock_unused(const struct sock_addr *at)
{
    int fd = -1;
    if (at->kind != SOCK_KIND_TCP)
        return OK;
    TRY(listen_tcp(at, BOUND_ONLY, &fd));
    sock_close(&fd);
    return OK;
}

const char *sock_listen_advice(err e)
{
    static const struct {
        enum err_code code;
        const char *advice;
    } KNOWN[] = {
        { ERR_EXISTS, "is in use already; end what listens there, or name another address" },
        { ERR_CONFIG, "has a name that is not known here" },
        { ERR_UNSUPPORTED, "is not an address of this machine" },
        { ERR_DENIED, "may not be listened on by this user; ports below 1024 want a privilege" },
        { ERR_NOT_FOUND, "cannot be listened on: its folder is not there" },
    };
    for (size_t i = 0; i < ARRAY_LEN(KNOWN); i++) {
        if (KNOWN[i].code == e.code)
            return KNOWN[i].advice;
    }
    return "cannot be listened on";
}

void sock_unlisten(const struct sock_addr *at, int *fd)
{
    if (*fd >= 0 && at->kind == SOCK_KIND_UNIX)
        (void)unlink(at->path);
    sock_close(fd);
}

err sock_bound(int fd, struct sock_addr *a)
{
    union any_addr bound = { 0 };
    socklen_t len = sizeof bound;
    ENSURE(getsockname(fd, &bound.head, &len) == 0, SYSTEM);
    if (bound.head.sa_family == AF_INET)
        a->port = ntohs(bound.v4.sin_port);
    if (bound.head.sa_family == AF_INET6)
        a->port = ntohs(bound.v6.sin6_port);
    return OK;
}

static bool is_transient(int code)
{
    return code == EAGAIN || code == ECONNABORTED || code == EINTR || code == EPROTO;
}

err sock_accept(int listening, int *out_fd)
{
    *out_fd = -1;
    int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        *out_fd = fd;
        return OK;
    }
    if (is_transient(errno))
        return OK;
    ENSURE(errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM, LIMIT);
    FAIL(SYSTEM);
}

static err target_of(const struct sock_addr *at, const struct sockaddr_storage *to,
                     union any_addr *out)
{
    switch (at->kind) {
    case SOCK_KIND_TCP:
        ENSURE(to != NULL, INTERNAL);
        out->room = *to;
        return OK;
    case SOCK_KIND_UNIX:
        unix_addr(at, out);
        return OK;
    case SOCK_KIND_VSOCK:
        vsock_addr(at, out);
        return OK;
    case SOCK_KIND_NONE:
        break;
    }
    FAIL(CONFIG);
}

err sock_connect(const struct sock_addr *at, const struct sockaddr_storage *to, int *out_fd)
{
    union any_addr a = { 0 };
    int fd = -1;
    TRY(target_of(at, to, &a));
    TRY(open_socket(a.head.sa_family, &fd));
    if (at->kind == SOCK_KIND_TCP)
        set_no_delay(fd);
    if (connect(fd, &a.head, addr_len(&a.head)) != 0 && errno != EINPROGRESS) {
        sock_close(&fd);
        FAIL(UNAVAILABLE);
    }
    *out_fd = fd;
    return OK;
}

err sock_connected(int fd)
{
    int code = 0;
    socklen_t len = sizeof code;
    ENSURE(getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len) == 0 && code == 0, UNAVAILABLE);
    return OK;
}

static enum sock_step moved(ssize_t n, size_t *out)
{
    if (n >= 0) {
        *out = (size_t)n;
        return SOCK_MOVED;
    }
    *out = 0;
    return errno == EAGAIN || errno == EINTR ? SOCK_WAIT : SOCK_BROKEN;
}

enum sock_step sock_receive(int fd, uint8_t *room, size_t len, size_t *n)
{
    enum sock_step step = moved(recv(fd, room, len, 0), n);
    return step == SOCK_MOVED && *n == 0 ? SOCK_ENDED : step;
}

static enum sock_step send_with(int fd, bytes out, int flags, size_t *n)
{
    *n = 0;
    if (out.len == 0)
        return SOCK_MOVED;
    return moved(send(fd, out.at, out.len, MSG_NOSIGNAL | flags), n);
}

enum sock_step sock_send(int fd, bytes out, size_t *n)
{
    return send_with(fd, out, 0, n);
}

enum sock_step sock_send_part(int fd, bytes out, size_t *n)
{
    return send_with(fd, out, MSG_MORE, n);
}

void sock_end(int fd)
{
    (void)shutdown(fd, SHUT_WR);
}

void sock_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}
