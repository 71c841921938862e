/*
 * base/sock.h - stream sockets by address: TCP, unix and vsock, always non-blocking and
 * close-on-exec, TCP without Nagle's delay.
 *
 * Addresses are written `host:port`, `[v6]:port`, `*:port` (every address, to listen),
 * `tls://host:port`, `unix:/path`, `vsock:CID:PORT`, `vsock:*:PORT` (to listen). The TLS mark is
 * only carried here; who opens the connection acts on it. Nothing blocks but sock_listen(), which
 * may look a name up.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct sockaddr_storage;

enum sock_kind { SOCK_KIND_NONE = 0, SOCK_KIND_TCP, SOCK_KIND_UNIX, SOCK_KIND_VSOCK };

enum {
    SOCK_HOST_MAX = 253,
    SOCK_PATH_MAX = 107, /* sun_path with its NUL */
    SOCK_TEXT_MAX = 300, /* of any address written out */
};

#define SOCK_CID_ANY UINT32_MAX

struct sock_addr {
    enum sock_kind kind;
    bool tls;
    char host[SOCK_HOST_MAX + 1]; /* TCP; without brackets; "*" is every address */
    uint32_t port;                /* TCP up to 65535 (0 only to listen: any free one), or vsock */
    uint32_t cid;                 /* vsock */
    char path[SOCK_PATH_MAX + 1]; /* unix */
};

/* ERR_CONFIG for anything that is not one of the forms above; *out is then unchanged. */
err sock_addr_read(bytes text, struct sock_addr *out);
/* Appends the form that sock_addr_read() reads. */
err sock_addr_write(const struct sock_addr *a, struct buf *out);

/* SOCK_SHARED: SO_REUSEPORT, so that every shard has a socket of its own on one TCP port. */
enum { SOCK_SHARED = 1U };

/* A listening socket. A unix path that nobody listens on any more is replaced; one that somebody
 * listens on, or that is no socket, is ERR_EXISTS. ERR_CONFIG when the name is unknown,
 * ERR_UNSUPPORTED when this machine has no such kind of socket or no such address, ERR_EXISTS when
 * the address is in use, ERR_DENIED when this user may not, ERR_NOT_FOUND when a unix path's folder
 * is not there, ERR_SYSTEM otherwise. */
err sock_listen(const struct sock_addr *at, unsigned flags, int *out_fd);

/* Whether a TCP address may be listened on: errors as above, ERR_EXISTS also when whoever listens
 * there would share it, as the kernel lets all processes of a user who ask for SOCK_SHARED. Takes
 * nothing. Other kinds of addresses are OK. */
err sock_unused(const struct sock_addr *at);

/* What to do about an error of these two, for people, to stand behind the address. */
const char *sock_listen_advice(err e);

/* Closes *fd as sock_close() does and removes a unix socket's path. */
void sock_unlisten(const struct sock_addr *at, int *fd);

/* Where a listening TCP socket really is (port 0 was asked for): sets a->port. */
err sock_bound(int fd, struct sock_addr *a);

/* The next waiting connection; *out_fd is -1 when none waits. ERR_LIMIT when out of descriptors. */
err sock_accept(int listening, int *out_fd);

/* Starts to connect; writability tells that sock_connected() has the answer. `to` is an address
 * from loop_resolve(), with its port; only for TCP, else NULL. */
err sock_connect(const struct sock_addr *at, const struct sockaddr_storage *to, int *out_fd);
/* ERR_UNAVAILABLE when the peer could not be reached. */
err sock_connected(int fd);

enum sock_step {
    SOCK_BROKEN = 0, /* the connection is gone */
    SOCK_WAIT,       /* nothing now: wait until ready */
    SOCK_MOVED,      /* *n bytes, at least one */
    SOCK_ENDED,      /* receiving only: the peer has closed its side */
};

enum sock_step sock_receive(int fd, uint8_t *room, size_t len, size_t *n);
/* Never raises SIGPIPE. An empty `out` is SOCK_MOVED with 0. */
enum sock_step sock_send(int fd, bytes out, size_t *n);
/* The same, for what is the beginning only: the kernel may hold it back until the rest is sent. */
enum sock_step sock_send_part(int fd, bytes out, size_t *n);

/* No more will be sent; the peer sees the end behind what was. */
void sock_end(int fd);

/* Closes *fd unless it is -1 and sets it to -1. */
void sock_close(int *fd);
