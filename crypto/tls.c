/*
 * OpenSSL between two memory BIOs: `in` holds what the peer sent and was not yet opened, `out` what
 * waits to be sent. No tickets, no resumption, no early data: every connection makes its own keys.
 */
#include "crypto/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/mem.h"

enum { ALPN_MAX = 255 };

/* There is one key for each context, so its name says nothing. */
#define PSK_NAME "sealgate"

/* A name in ALPN's own form: a length byte, then the name. */
struct protocol {
    uint8_t wire[1 + ALPN_MAX];
    unsigned len; /* with the length byte; 0: none */
    bool optional;
};

struct tls_context {
    SSL_CTX *ctx;
    SSL_SESSION *psk; /* as OpenSSL wants to have it; NULL: certificates */
    struct protocol alpn;
    char name[TLS_NAME_MAX + 1];
    bool server;
};

struct tls {
    SSL *ssl; /* owns both BIOs */
    BIO *in;
    BIO *out;
    SSL_SESSION *psk;
    struct protocol alpn;
    err dead; /* anything but OK: this is answered from now on */
    bool ready;
    bool more; /* plaintext was left behind for lack of room */
    bool closed;
    bool peer_closed;
};

/* A key that needs a password is refused instead of asked about on a terminal. */
static int no_password(char *to, int size, int writing, void *owner)
{
    (void)writing;
    (void)owner;
    if (size > 0)
        to[0] = 0;
    return 0;
}

static err protocol_read(const char *name, bool optional, struct protocol *out)
{
    size_t len = name ? strlen(name) : 0;
    ENSURE(len <= ALPN_MAX, CONFIG);
    *out = (struct protocol){ .optional = optional };
    if (len == 0)
        return OK;
    out->wire[0] = (uint8_t)len;
    memcpy(out->wire + 1, name, len);
    out->len = (unsigned)len + 1;
    return OK;
}

static err name_copy(const char *name, char to[static TLS_NAME_MAX + 1])
{
    size_t len = name ? strlen(name) : 0;
    ENSURE(len <= TLS_NAME_MAX, CONFIG);
    if (len > 0)
        memcpy(to, name, len);
    to[len] = 0;
    return OK;
}

/* Called for a peer that offers protocols; what a peer may leave out is checked in finish(). */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *offered, unsigned offered_len, void *owner)
{
    (void)owner;
    const struct tls *t = SSL_get_app_data(ssl);
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_len, t->alpn.wire, t->alpn.len, offered, offered_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static err common_setup(SSL_CTX *ctx)
{
    (void)SSL_CTX_set_options(ctx, SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_NO_TICKET |
                                       SSL_OP_CIPHER_SERVER_PREFERENCE);
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_default_passwd_cb(ctx, no_password);
    ENSURE(SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1, INTERNAL);
    ENSURE(SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1, INTERNAL);
    char groups[] = "X25519:P-256:P-384";
    ENSURE(SSL_CTX_set1_groups_list(ctx, groups) == 1, INTERNAL);
    return OK;
}

/* Each handshake gets a copy, since it writes into it. */
static int offer_psk(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *id_len,
                     SSL_SESSION **session)
{
    const struct tls *t = SSL_get_app_data(ssl);
    (void)md;
    *session = SSL_SESSION_dup(t->psk);
    *id = (const unsigned char *)PSK_NAME;
    *id_len = sizeof PSK_NAME - 1;
    return *session != NULL;
}

static int find_psk(SSL *ssl, const unsigned char *id, size_t id_len, SSL_SESSION **session)
{
    const struct tls *t = SSL_get_app_data(ssl);
    bool known = bytes_equal(bytes_of(id, id_len), BYTES_LIT(PSK_NAME));
    *session = known ? SSL_SESSION_dup(t->psk) : NULL;
    return !known || *session != NULL;
}

static err psk_fill(SSL_SESSION *to, SSL *ssl, bytes key)
{
    static const unsigned char suite[] = { 0x13, 0x02 }; /* TLS_AES_256_GCM_SHA384 */
    const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, suite);
    ENSURE(cipher != NULL && SSL_SESSION_set_cipher(to, cipher) == 1, INTERNAL);
    ENSURE(SSL_SESSION_set1_master_key(to, key.at, key.len) == 1, INTERNAL);
    ENSURE(SSL_SESSION_set_protocol_version(to, TLS1_3_VERSION) == 1, INTERNAL);
    return OK;
}

static err psk_setup(struct tls_context *c, const struct tls_settings *s)
{
    ENSURE(s->psk.len == TLS_PSK_LEN && s->cert_path == NULL && s->key_path == NULL &&
               s->ca_path == NULL,
           CONFIG);
    SSL *ssl = SSL_new(c->ctx);
    c->psk = SSL_SESSION_new();
    err e = ssl != NULL && c->psk != NULL ? psk_fill(c->psk, ssl, s->psk)
                                          : err_raise(ERR_NOMEM, __FILE__, __func__, __LINE__);
    SSL_free(ssl);
    TRY(e);
    /* A server with a certificate in the place of the key has none that a root is there for. */
    if (!c->server)
        SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_psk_use_session_callback(c->ctx, offer_psk);
    SSL_CTX_set_psk_find_session_callback(c->ctx, find_psk);
    if (c->server && s->alpn != NULL)
        SSL_CTX_set_alpn_select_cb(c->ctx, choose_protocol, NULL);
    return OK;
}

static err server_setup(SSL_CTX *ctx, const struct tls_settings *s)
{
    ENSURE(s->cert_path != NULL && s->key_path != NULL && s->ca_path == NULL, CONFIG);
    ENSURE(SSL_CTX_use_certificate_chain_file(ctx, s->cert_path) == 1, CONFIG);
    ENSURE(SSL_CTX_use_PrivateKey_file(ctx, s->key_path, SSL_FILETYPE_PEM) == 1, CONFIG);
    ENSURE(SSL_CTX_check_private_key(ctx) == 1, CONFIG);
    ENSURE(SSL_CTX_set_num_tickets(ctx, 0) == 1, INTERNAL);
    if (s->alpn != NULL)
        SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    return OK;
}

static err client_setup(SSL_CTX *ctx, const struct tls_settings *s)
{
    ENSURE(s->cert_path == NULL && s->key_path == NULL, CONFIG);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    if (s->ca_path != NULL)
        ENSURE(SSL_CTX_load_verify_file(ctx, s->ca_path) == 1, CONFIG);
    else
        ENSURE(SSL_CTX_set_default_verify_paths(ctx) == 1, CONFIG);
    return OK;
}

static void context_free_at(struct tls_context **c)
{
    tls_context_free(*c);
}

err tls_context_new(struct tls_context **out, const struct tls_settings *settings, bool server)
{
    CLEANUP(context_free_at) struct tls_context *c = NULL;
    TRY(mem_new(&c));
    c->server = server;
    TRY(protocol_read(settings->alpn, settings->alpn_optional, &c->alpn));
    TRY(name_copy(settings->server_name, c->name));
    c->ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    ENSURE(c->ctx != NULL, NOMEM);
    err e = common_setup(c->ctx);
    if (err_is_ok(e) && settings->psk.len > 0)
        e = psk_setup(c, settings);
    else if (err_is_ok(e))
        e = server ? server_setup(c->ctx, settings) : client_setup(c->ctx, settings);
    ERR_clear_error();
    TRY(e);
    *out = c;
    c = NULL;
    return OK;
}

void tls_context_free(struct tls_context *context)
{
    if (context == NULL)
        return;
    SSL_SESSION_free(context->psk);
    SSL_CTX_free(context->ctx);
    mem_free(context);
}

/* The certificate has to bear this name; server name indication is for names, not addresses. */
static err expect_name(SSL *ssl, const char *given)
{
    char name[TLS_NAME_MAX + 1] = { 0 };
    TRY(name_copy(given, name));
    ENSURE(name[0] != 0, CONFIG);
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1)
        return OK;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    ENSURE(X509_VERIFY_PARAM_set1_host(param, name, 0) == 1, NOMEM);
    ENSURE(SSL_set_tlsext_host_name(ssl, name) == 1, CONFIG);
    return OK;
}

static err make_bios(struct tls *t)
{
    t->in = BIO_new(BIO_s_mem());
    t->out = BIO_new(BIO_s_mem());
    if (t->in == NULL || t->out == NULL) {
        BIO_free(t->in);
        BIO_free(t->out);
        FAIL(NOMEM);
    }
    /* An empty BIO means "not yet"; the end of the transport is tls_end()'s affair. */
    (void)BIO_set_mem_eof_return(t->in, -1);
    (void)BIO_set_mem_eof_return(t->out, -1);
    SSL_set_bio(t->ssl, t->in, t->out);
    return OK;
}

static err client_start(struct tls *t, const char *name)
{
    if (t->psk == NULL)
        TRY(expect_name(t->ssl, name));
    SSL_set_connect_state(t->ssl);
    if (t->alpn.len > 0)
        ENSURE(SSL_set_alpn_protos(t->ssl, t->alpn.wire, t->alpn.len) == 0, NOMEM);
    return OK;
}

static err die(struct tls *t, err why)
{
    ERR_clear_error();
    t->dead = why;
    return why;
}

/* The handshake is done: is the protocol what we speak? */
static err finish(struct tls *t)
{
    const unsigned char *chosen;
    unsigned len;
    SSL_get0_alpn_selected(t->ssl, &chosen, &len);
    bool none = len == 0;
    bool same = bytes_equal(bytes_of(chosen, len),
                            bytes_of(t->alpn.wire + 1, t->alpn.len > 0 ? t->alpn.len - 1 : 0));
    ENSURE(same || (none && t->alpn.optional), CRYPTO);
    ENSURE(t->psk == NULL || SSL_session_reused(t->ssl) == 1, UNTRUSTED);
    t->ready = true;
    return OK;
}

static err refusal(const struct tls *t)
{
    ENSURE(SSL_get_verify_result(t->ssl) == X509_V_OK, UNTRUSTED);
    FAIL(CRYPTO);
}

static err shake_hands(struct tls *t)
{
    ERR_clear_error();
    int r = SSL_do_handshake(t->ssl);
    if (r == 1) {
        err e = finish(t);
        return err_is_ok(e) ? OK : die(t, e);
    }
    if (SSL_get_error(t->ssl, r) == SSL_ERROR_WANT_READ)
        return OK;
    return die(t, refusal(t));
}

static void tls_free_at(struct tls **t)
{
    tls_free(*t);
}

err tls_new(struct tls **out, struct tls_context *context, const char *server_name)
{
    CLEANUP(tls_free_at) struct tls *t = NULL;
    TRY(mem_new(&t));
    t->alpn = context->alpn;
    t->ssl = SSL_new(context->ctx);
    ENSURE(t->ssl != NULL && SSL_set_app_data(t->ssl, t) == 1, NOMEM);
    if (context->psk != NULL && SSL_SESSION_up_ref(context->psk) == 1)
        t->psk = context->psk;
    ENSURE(t->psk == context->psk, INTERNAL);
    TRY(make_bios(t));
    if (context->server) {
        SSL_set_accept_state(t->ssl);
    } else {
        TRY(client_start(t, server_name ? server_name : context->name));
        TRY(shake_hands(t));
    }
    *out = t;
    t = NULL;
    return OK;
}

void tls_free(struct tls *t)
{
    if (t == NULL)
        return;
    SSL_free(t->ssl);
    SSL_SESSION_free(t->psk);
    mem_free(t);
}

static size_t pending(BIO *bio)
{
    return BIO_ctrl_pending(bio);
}

static err bio_put(BIO *bio, bytes in)
{
    size_t n;
    if (in.len > 0)
        ENSURE(BIO_write_ex(bio, in.at, in.len, &n) == 1 && n == in.len, NOMEM);
    return OK;
}

err tls_put(struct tls *t, bytes cipher_in)
{
    TRY(t->dead);
    //= rfc8446#section-6.1
    //# Any data received after a closure alert has been received MUST be ignored.
    if (t->peer_closed)
        return OK;
    size_t held = pending(t->in);
    /* A peer that reads nothing may not make us answer its key updates without end. */
    ENSURE(pending(t->out) <= (size_t)2 * TLS_PENDING_MAX, LIMIT);
    ENSURE(held <= TLS_PENDING_MAX && cipher_in.len <= TLS_PENDING_MAX - held, LIMIT);
    err e = bio_put(t->in, cipher_in);
    if (e.code != ERR_OK)
        return die(t, e);
    return t->ready ? OK : shake_hands(t);
}

/* What SSL_read() and SSL_peek() mean when they give nothing. */
static err nothing_read(struct tls *t, int r)
{
    int why = SSL_get_error(t->ssl, r);
    if (why == SSL_ERROR_ZERO_RETURN)
        t->peer_closed = true;
    else if (why != SSL_ERROR_WANT_READ)
        return die(t, refusal(t));
    return OK;
}

/* Opens the next record and says how much plaintext is there; 0: not yet, or no more. */
static err next_record(struct tls *t, size_t *len)
{
    uint8_t first;
    size_t n;
    *len = 0;
    ERR_clear_error();
    int r = SSL_peek_ex(t->ssl, &first, 1, &n);
    if (r != 1)
        return nothing_read(t, r);
    *len = (size_t)SSL_pending(t->ssl);
    return OK;
}

err tls_read(struct tls *t, struct buf *plain_out)
{
    TRY(t->dead);
    t->more = false;
    while (t->ready && !t->peer_closed) {
        size_t len, got, room = plain_out->max - plain_out->len;
        uint8_t *to;
        TRY(next_record(t, &len));
        if (len == 0)
            break;
        t->more = room == 0;
        if (t->more)
            break;
        len = len < room ? len : room;
        TRY(buf_reserve(plain_out, len, &to));
        int r = SSL_read_ex(t->ssl, to, len, &got);
        if (r != 1)
            return nothing_read(t, r);
        buf_commit(plain_out, got);
    }
    return OK;
}

bool tls_readable(const struct tls *t)
{
    return t->more;
}

err tls_write(struct tls *t, bytes plain_in)
{
    TRY(t->dead);
    ENSURE(!t->closed, CLOSED);
    ENSURE(t->ready, UNAVAILABLE);
    size_t held = pending(t->out);
    ENSURE(held <= TLS_PENDING_MAX && plain_in.len <= TLS_PENDING_MAX - held, LIMIT);
    if (plain_in.len == 0)
        return OK;
    size_t n;
    ERR_clear_error();
    if (SSL_write_ex(t->ssl, plain_in.at, plain_in.len, &n) != 1)
        return die(t, err_raise(ERR_CRYPTO, __FILE__, __func__, __LINE__));
    return OK;
}

err tls_take(struct tls *t, struct buf *cipher_out)
{
    size_t held = pending(t->out), room = cipher_out->max - cipher_out->len, n;
    size_t len = held < room ? held : room;
    uint8_t *to;
    if (len == 0)
        return OK;
    TRY(buf_reserve(cipher_out, len, &to));
    ENSURE(BIO_read_ex(t->out, to, len, &n) == 1, INTERNAL);
    buf_commit(cipher_out, n);
    return OK;
}

bool tls_ready(const struct tls *t)
{
    return t->ready && err_is_ok(t->dead);
}

err tls_close_notify(struct tls *t)
{
    TRY(t->dead);
    if (t->closed)
        return OK;
    t->closed = true;
    if (!t->ready)
        return OK;
    ERR_clear_error();
    if (SSL_shutdown(t->ssl) < 0)
        return die(t, err_raise(ERR_CRYPTO, __FILE__, __func__, __LINE__));
    return OK;
}

bool tls_peer_closed(const struct tls *t)
{
    return t->peer_closed;
}

err tls_end(const struct tls *t)
{
    TRY(t->dead);
    ENSURE(t->peer_closed, TRUNCATED);
    return OK;
}
