/*
 * gateway/front.h - the HTTP/1.1 server that clients talk to.
 *
 * One front belongs to one shard: it lives on that shard's loop and thread, with a listening socket
 * of its own (SO_REUSEPORT lets every shard have one on the same address). Nothing here may be
 * called from another thread. front.c, front_request.c and front_strict.c are the only files that
 * know libmicrohttpd.
 *
 * What a caller can rely on:
 *  - A request is delivered only after its head passed the checks of front_strict.h. What fails
 *    them is answered by the front with a JSON error object and `Connection: close`.
 *  - Bodies are handed on without being copied, in pieces of at most FRONT_PIECE_MAX bytes, and are
 *    never longer than body_max.
 *  - A client that goes away is noticed at once, also while nobody is reading or writing. A client
 *    that only closes its sending half counts as gone, unless the request is answered inside the
 *    request() or body_end() call.
 *  - Everything written during one turn of the loop leaves in as few sends as possible at the end
 *    of that turn; nothing is held back longer than that.
 *  - After a request with a chunked body the connection is closed. Line ends inside chunk framing
 *    cannot be checked from here, so that nothing behind such a body may count as a next request.
 *
 * What libmicrohttpd answers itself, with a short HTML body and `Connection: close`: a request line
 * or header line it cannot take apart (400), another HTTP major version (505), a head larger than
 * its buffer (414, 431), a malformed chunk (400), a Content-Length that is no number (400, 413).
 */
#pragma once

#include <stdint.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

struct front;
struct front_request;
struct loop;
struct sock_addr;

enum {
    FRONT_HEAD_MAX = 16 * 1024,           /* request line and headers; 431 above */
    FRONT_HEADERS_MAX = 100,              /* header lines of a request; 431 above */
    FRONT_PIECE_MAX = 32 * 1024,          /* the largest piece given to body() */
    FRONT_QUEUE_MAX = 1024 * 1024,        /* bytes written and not yet with the kernel */
    FRONT_QUEUE_LOW = 64 * 1024,          /* writable() is called when the queue falls to this */
    FRONT_FIELDS_MAX = 64,                /* fields of an answer, and of its trailer section */
    FRONT_FIELD_MAX = 4096,               /* bytes of one value; a name has up to 255 */
    FRONT_ANSWER_MAX = 8 * 1024,          /* bytes of all their names and values */
    FRONT_DISCARD_MAX = 64 * 1024 * 1024, /* of a body nobody wants, read so that the client can
                                             see its answer instead of a reset */
    FRONT_STREAMS_MAX = 2000,             /* sensible connections_max: parked ones cost per turn */
};

/* Zero means: the default in brackets. Times in milliseconds. */
struct front_settings {
    const struct sock_addr *listen; /* NULL: listen_fd is used */
    int listen_fd;                  /* listening and non-blocking; taken, also on failure */
    const char *tls_cert_path;      /* PEM, with chain; NULL = clear text */
    const char *tls_key_path;       /* PEM */
    size_t body_max;                /* [64 MiB] a body of exactly this size passes; 413 above */
    size_t head_max;                /* [FRONT_HEAD_MAX], never more */
    uint32_t connections_max;       /* [FRONT_STREAMS_MAX] */
    uint32_t per_ip_max;            /* [no limit] connections of one address */
    unsigned idle_ms;               /* [120 s] no byte moves either way on a connection that waits
                                       for its client; in steps of a second */
    unsigned head_ms;               /* [10 s] the whole head, from its first byte (or connection) */
    unsigned body_ms;               /* [300 s] the whole body, not counting front_body_pause() */
};

/* A field of an answer or of its trailer section. Connection, Content-Length, Date and
 * Transfer-Encoding are set by the front and must not be given; a value may not be empty. */
struct front_field {
    bytes name;
    bytes value;
};

/*
 * Called on the shard's thread. Every request that was delivered by request() gets exactly one last
 * call, done() or gone(), after which it must not be touched. The last call never comes out of a
 * front_...() call. All members must be set.
 */
struct front_events {
    /* The head is complete. May answer at once; then the body is thrown away unread. Otherwise the
     * body follows by body() and body_end() (at once, for a request without one). owner is the
     * front's; give the request its own with front_set_owner(). */
    void (*request)(void *owner, struct front_request *r);
    /* The next piece of the body; only while not answered. Valid during the call. */
    void (*body)(struct front_request *r, bytes piece);
    /* The body is complete. Not called when the request was answered before. */
    void (*body_end)(struct front_request *r);
    /* The queue fell to FRONT_QUEUE_LOW or below after it had been above. */
    void (*writable)(struct front_request *r);
    /* The client left, timed out or broke the rules before it had the whole answer, or front_abort()
     * was carried out, or the front is being freed. Last call. */
    void (*gone)(struct front_request *r);
    /* The whole answer was handed to the kernel. Last call. */
    void (*done)(struct front_request *r);
    /* A request that never became one was answered with status (0: only closed). For the log and
     * metrics; reason is a short literal such as "repeated content-length". */
    void (*refused)(void *owner, unsigned status, const char *reason);
    /* After front_drain(): the last connection is closed. May call front_free() only later. */
    void (*drained)(void *owner);
};

/* ERR_CONFIG: the certificate or key cannot be used; ERR_SYSTEM: the address cannot be listened
 * on. *events must outlive the front; settings and what they point to need not. */
err front_new(struct front **out, struct loop *loop, const struct front_settings *settings,
              const struct front_events *events, void *owner);

/* Stops accepting, closes idle connections; requests in flight finish, with `Connection: close`.
 * Idempotent. */
void front_drain(struct front *f);

/* Closes everything; gone() for each request still in flight, out of this call. Not to be called
 * from a front's own event. */
void front_free(struct front *f);

/* The port listened on (0 for a unix socket), open connections, and requests in flight. */
uint16_t front_port(const struct front *f);
uint32_t front_connections(const struct front *f);
uint32_t front_requests(const struct front *f);

/* --- a request; all views are valid until its last call --- */

void front_set_owner(struct front_request *r, void *owner);
void *front_owner(const struct front_request *r);

bytes front_method(const struct front_request *r);
/* The target as sent, before its first '?', nothing decoded; and what is behind that '?'. A path
 * starts with '/', or is "*", or an absolute URI. */
bytes front_path(const struct front_request *r);
bytes front_query(const struct front_request *r);
bool front_is_head(const struct front_request *r);

/* The first header of that name, without white space around it; at NULL when there is none.
 * Names compare without case. */
bytes front_header(const struct front_request *r, const char *name);
/* All of them in order, without white space around values; fn returns false to stop. */
void front_headers(const struct front_request *r, bool (*fn)(void *ctx, bytes name, bytes value),
                   void *ctx);
size_t front_headers_count(const struct front_request *r, const char *name);

/* The body's announced length; *known is false (and 0 returned) for a chunked one. */
uint64_t front_content_length(const struct front_request *r, bool *known);

/* The client's address; family AF_UNIX without a name for a unix socket. */
const struct sockaddr *front_peer(const struct front_request *r);
bool front_is_tls(const struct front_request *r);

/* Body back-pressure: after pause no further body() or body_end() comes, except out of a call that
 * is already running. Pausing inside request() also holds back `100 Continue`. */
void front_body_pause(struct front_request *r);
void front_body_resume(struct front_request *r);

/* Whether an answer may carry that field. */
bool front_takes(const struct front_field *field);

/* --- the answer; ERR_CLOSED from all of them once the client is gone --- */

/* A whole answer; body is copied. ERR_MALFORMED for a field with a character that may not be in
 * one; ERR_LIMIT for too many or too long fields. After an error the request is unanswered. */
err front_respond(struct front_request *r, unsigned status, const struct front_field *fields,
                  size_t n, bytes body);
/* The same without copying: *body is taken and left empty, also on failure. For large answers. */
err front_respond_take(struct front_request *r, unsigned status, const struct front_field *fields,
                       size_t n, struct buf *body);

/* An answer in pieces: its head now, its content by front_write(), its end by front_end(). With
 * FRONT_CHUNKED an HTTP/1.0 client gets it without chunks, ended by closing. */
#define FRONT_CHUNKED ((int64_t)-1)
err front_begin(struct front_request *r, unsigned status, const struct front_field *fields,
                size_t n, int64_t content_length);
/* Copies into the queue. ERR_LIMIT, and nothing queued, when that would be over FRONT_QUEUE_MAX or
 * over the content length. For a HEAD request the bytes are dropped. */
err front_write(struct front_request *r, bytes data);
/* Bytes that the kernel has not yet taken. */
size_t front_queued(const struct front_request *r);
/* No more content. What is still queued and the end leave together. Trailers only with
 * FRONT_CHUNKED, and a `Trailer` field in the head should name them; they are dropped for HTTP/1.0.
 * ERR_MALFORMED when less than the content length was written: then nothing is ended. */
err front_end(struct front_request *r, const struct front_field *trailers, size_t n);
/* Breaks the answer on purpose: what is queued is sent, then the connection is closed without the
 * end of the body (with a reset where the end of the connection would look like the end of the
 * body), so that no client can take it for finished. Before front_begin(): closed without an
 * answer. gone() follows. */
void front_abort(struct front_request *r);
