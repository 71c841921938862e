/*
 * crypto/tls.h - TLS 1.3 as bytes in, bytes out. It touches no socket.
 *
 * After every tls_put() and tls_write(), and once after tls_new(), take what is to be sent with
 * tls_take(). A context may be shared by threads, a connection not.
 */
#pragma once

#include "base/buf.h"

enum {
    TLS_PENDING_MAX = 1024 * 1024, /* received bytes waiting for tls_read(), and bytes to send */
    TLS_NAME_MAX = 255,
    TLS_PSK_LEN = 32
};

/*
 * Paths and bytes are borrowed for the call of tls_context_new(); strings may be NULL.
 *
 * With a psk (RFC 8446 section 4.2.11, an external one, with a key exchange on top) who is at the
 * other end is told by that key alone, both ways: there are no certificates and no names, and whoever
 * has no psk, or another one, gets no connection. A key must serve as client's only at one kind of
 * program and as server's only at the other, so that nobody can be led to talk to itself (RFC 9257).
 */
struct tls_settings {
    bytes psk;               /* TLS_PSK_LEN bytes; empty: certificates */
    const char *cert_path;   /* PEM chain; a server needs it */
    const char *key_path;    /* PEM key; a server needs it */
    const char *ca_path;     /* client: PEM file of roots; NULL = the system's */
    const char *server_name; /* client: name, or IP address, that the certificate must have */
    const char *alpn;        /* one protocol, such as "h2"; NULL = none */
    bool alpn_optional;      /* a peer that offers no protocol at all is let in */
};

struct tls_context;
struct tls;

/* ERR_CONFIG: a file is missing, unreadable, or the key does not fit the certificate; a psk of another
 * length, or with a certificate. */
err tls_context_new(struct tls_context **out, const struct tls_settings *settings, bool server);

/* Connections keep what they need; the context may go before them. NULL is allowed. */
void tls_context_free(struct tls_context *context);

/* server_name: for a client, NULL = the settings' name. ERR_CONFIG when there is none. With a psk it is
 * not looked at. */
err tls_new(struct tls **out, struct tls_context *context, const char *server_name);
void tls_free(struct tls *t);

/* Takes in all of it. ERR_LIMIT: over TLS_PENDING_MAX waits unread, or twice that unsent; nothing is
 * taken then. ERR_UNTRUSTED: the peer's certificate is refused. ERR_CRYPTO: anything else that TLS
 * refuses; the connection is dead then, and tls_take() may still give an alert to send. */
err tls_put(struct tls *t, bytes cipher_in);

/* Appends the plaintext that is there, as far as plain_out's limit lets it; call again when it was
 * the limit (tls_readable()). Errors as tls_put(). */
err tls_read(struct tls *t, struct buf *plain_out);
bool tls_readable(const struct tls *t);

/* ERR_UNAVAILABLE before tls_ready(); ERR_CLOSED after tls_close_notify(); ERR_LIMIT when over
 * TLS_PENDING_MAX would wait to be sent; nothing is taken then. */
err tls_write(struct tls *t, bytes plain_in);

/* Moves what is to be sent to the end of cipher_out, as far as its limit lets it. */
err tls_take(struct tls *t, struct buf *cipher_out);

/* The handshake is through: the peer's name is checked and ALPN is agreed. */
bool tls_ready(const struct tls *t);

/* Says that no more will be written; then tls_take(). */
err tls_close_notify(struct tls *t);

/* The peer said that it will write no more; known once tls_read() has come so far. */
bool tls_peer_closed(const struct tls *t);

/* To be called when the transport ended and tls_read() has taken everything: OK after the peer's
 * close, ERR_TRUNCATED without it. */
err tls_end(const struct tls *t);
