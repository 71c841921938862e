#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "crypto/init.h"
#include "crypto/tls.h"
#include "tests/lib/law.h"
#include "tests/unit/crypto/pki.h"

enum { ROOM = 2 * TLS_PENDING_MAX, DAY = 86400, PATH_LEN = 64 };

/* Files of one made-up world: a root, its worker's certificate and key, a foreign root and key. */
static char folder[] = "/tmp/sealgate-tls-XXXXXX";
static char root_path[PATH_LEN], chain_path[PATH_LEN], key_path[PATH_LEN], stale_path[PATH_LEN],
    foreign_path[PATH_LEN], foreign_key_path[PATH_LEN], no_path[PATH_LEN];

static const char *const names[] = { "root.pem",    "chain.pem",       "key.pem", "stale.pem",
                                     "foreign.pem", "foreign-key.pem", "none.pem" };
static char *const paths[] = { root_path,    chain_path,       key_path, stale_path,
                               foreign_path, foreign_key_path, no_path };

static struct tls_settings server_settings(void)
{
    return (struct tls_settings){ .cert_path = chain_path, .key_path = key_path, .alpn = "h2" };
}

static struct tls_settings client_settings(void)
{
    return (
        struct tls_settings){ .ca_path = root_path, .server_name = "worker.test", .alpn = "h2" };
}

/* Both ends and the wire between them. */
struct pair {
    struct tls *client, *server;
    struct buf to_server, to_client;
    err client_err, server_err;
};

static void pair_open(struct pair *p, const struct tls_settings *c, const struct tls_settings *s)
{
    struct tls_context *cc = NULL, *sc = NULL;
    *p = (struct pair){ .to_server = BUF(ROOM), .to_client = BUF(ROOM) };
    CHECK_OK(tls_context_new(&cc, c, false));
    CHECK_OK(tls_context_new(&sc, s, true));
    CHECK_OK(tls_new(&p->client, cc, NULL));
    CHECK_OK(tls_new(&p->server, sc, NULL));
    tls_context_free(cc);
    tls_context_free(sc);
}

static void pair_close(struct pair *p)
{
    tls_free(p->client);
    tls_free(p->server);
    buf_clear(&p->to_server);
    buf_clear(&p->to_client);
}

/* Moves what waits at one end to the other, in pieces of `step` bytes. */
static size_t pump(struct tls *from, struct tls *to, struct buf *wire, size_t step, err *e)
{
    CHECK_OK(tls_take(from, wire));
    size_t moved = wire->len;
    for (size_t at = 0; at < moved && err_is_ok(*e); at += step)
        *e = tls_put(to, bytes_slice(buf_view(wire), at, step));
    buf_truncate(wire, 0);
    return moved;
}

static void settle(struct pair *p, size_t step)
{
    while (pump(p->client, p->server, &p->to_server, step, &p->server_err) +
               pump(p->server, p->client, &p->to_client, step, &p->client_err) >
           0)
        ;
}

static void pair_ready(struct pair *p, size_t step)
{
    struct tls_settings c = client_settings(), s = server_settings();
    pair_open(p, &c, &s);
    settle(p, step);
    CHECK_OK(p->client_err);
    CHECK_OK(p->server_err);
    CHECK(tls_ready(p->client) && tls_ready(p->server));
}

static void read_exactly(struct tls *t, bytes want)
{
    BUF_AUTO got = BUF(ROOM);
    CHECK_OK(tls_read(t, &got));
    CHECK(!tls_readable(t));
    CHECK_BYTES(buf_view(&got), want);
}

static void every_split_gives_the_same_conversation(void **state)
{
    (void)state;
    static const size_t steps[] = { 1, 2, 3, 7, 100, 4096, ROOM };
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct pair p;
        pair_ready(&p, steps[i]);
        CHECK_OK(tls_write(p.client, BYTES_LIT("PRI * HTTP/2.0")));
        CHECK_OK(tls_write(p.server, BYTES_LIT("settings")));
        CHECK_OK(tls_write(p.server, BYTES_LIT(" and more")));
        settle(&p, steps[i]);
        read_exactly(p.server, BYTES_LIT("PRI * HTTP/2.0"));
        read_exactly(p.client, BYTES_LIT("settings and more"));
        pair_close(&p);
    }
}

static void much_data_arrives_whole_however_small_the_readers_room(void **state)
{
    (void)state;
    static uint8_t data[300000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + i / 251);
    static const size_t rooms[] = { 1000, 16384, 20000, sizeof data };
    for (size_t i = 0; i < ARRAY_LEN(rooms); i++) {
        struct pair p;
        BUF_AUTO whole = BUF(sizeof data);
        BUF_AUTO part = BUF(rooms[i]);
        pair_ready(&p, ROOM);
        CHECK_OK(tls_write(p.client, BYTES_ARRAY(data)));
        settle(&p, 5000);
        do {
            CHECK_OK(tls_read(p.server, &part));
            CHECK_OK(buf_add(&whole, buf_view(&part)));
            buf_truncate(&part, 0);
        } while (tls_readable(p.server));
        CHECK_BYTES(buf_view(&whole), BYTES_ARRAY(data));
        pair_close(&p);
    }
}

static void the_sender_takes_out_in_pieces_what_its_reader_has_room_for(void **state)
{
    (void)state;
    struct pair p;
    pair_ready(&p, ROOM);
    CHECK_OK(tls_write(p.client, BYTES_LIT("a message in small pieces")));
    BUF_AUTO one = BUF(1);
    for (size_t n = 1; n > 0;) {
        CHECK_OK(tls_take(p.client, &one));
        n = one.len;
        CHECK_OK(tls_put(p.server, buf_view(&one)));
        buf_truncate(&one, 0);
    }
    read_exactly(p.server, BYTES_LIT("a message in small pieces"));
    pair_close(&p);
}

static void a_clean_close_is_told_from_a_cut(void **state)
{
    (void)state;
    struct pair p;
    pair_ready(&p, ROOM);
    CHECK_OK(tls_write(p.server, BYTES_LIT("the last words")));
    settle(&p, ROOM);
    read_exactly(p.client, BYTES_LIT("the last words"));
    CHECK(!tls_peer_closed(p.client));
    CHECK_ERR(tls_end(p.client), TRUNCATED);

    CHECK_OK(tls_close_notify(p.server));
    CHECK_OK(tls_close_notify(p.server));
    CHECK_ERR(tls_write(p.server, BYTES_LIT("more")), CLOSED);
    settle(&p, ROOM);
    read_exactly(p.client, (bytes){ 0 });
    CHECK(tls_peer_closed(p.client));
    CHECK_OK(tls_end(p.client));

    /* The other direction is still open, and what follows a close is ignored. */
    CHECK_OK(tls_write(p.client, BYTES_LIT("goodbye")));
    settle(&p, ROOM);
    read_exactly(p.server, BYTES_LIT("goodbye"));
    CHECK_ERR(tls_end(p.server), TRUNCATED);
    CHECK_OK(tls_put(p.client, BYTES_LIT("garbage behind the end")));
    CHECK_OK(tls_end(p.client));
    pair_close(&p);
}

static void any_flipped_bit_of_a_record_is_refused_for_good(void **state)
{
    (void)state;
    for (size_t bit = 0; bit < 8 * (size_t)(5 + 5 + 1 + 16); bit++) {
        struct pair p;
        BUF_AUTO plain = BUF(64);
        pair_ready(&p, ROOM);
        CHECK_OK(tls_write(p.client, BYTES_LIT("hello")));
        CHECK_OK(tls_take(p.client, &p.to_server));
        CHECK(p.to_server.len == 5 + 5 + 1 + 16);
        p.to_server.at[bit / 8] ^= (uint8_t)(1U << bit % 8);
        err e = tls_put(p.server, buf_view(&p.to_server));
        if (err_is_ok(e))
            e = tls_read(p.server, &plain);
        /* A greater length only means that the record is not all here yet. */
        if (err_is_ok(e)) {
            CHECK(bit / 8 == 3 || bit / 8 == 4);
            CHECK_ERR(tls_end(p.server), TRUNCATED);
        } else {
            CHECK_ERR(e, CRYPTO);
            CHECK_ERR(tls_read(p.server, &plain), CRYPTO);
            CHECK_ERR(tls_put(p.server, BYTES_LIT("x")), CRYPTO);
            CHECK_ERR(tls_write(p.server, BYTES_LIT("x")), CRYPTO);
            CHECK_ERR(tls_end(p.server), CRYPTO);
            CHECK(!tls_ready(p.server));
        }
        CHECK(plain.len == 0);
        pair_close(&p);
    }
}

/* The client's outcome with these settings against the usual server, or the other way round. */
static err client_outcome(const struct tls_settings *c, const struct tls_settings *s)
{
    struct pair p;
    pair_open(&p, c, s);
    settle(&p, ROOM);
    err e = p.client_err;
    CHECK(tls_ready(p.client) == (e.code == ERR_OK));
    if (e.code != ERR_OK)
        CHECK_ERR(tls_write(p.client, BYTES_LIT("secret")), UNTRUSTED);
    pair_close(&p);
    return e;
}

static void the_servers_name_has_to_be_the_expected_one(void **state)
{
    (void)state;
    struct tls_settings c = client_settings(), s = server_settings();
    CHECK_OK(client_outcome(&c, &s));
    static const char *const good[] = { "127.0.0.1", "::1", "a.pool.test", "WORKER.test" };
    static const char *const bad[] = { "other.test",    "127.0.0.2",        "pool.test",
                                       "a.b.pool.test", "worker.test.evil", "test" };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        c.server_name = good[i];
        CHECK_OK(client_outcome(&c, &s));
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        c.server_name = bad[i];
        CHECK_ERR(client_outcome(&c, &s), UNTRUSTED);
    }
}

static void an_unknown_or_stale_certificate_is_not_trusted(void **state)
{
    (void)state;
    struct tls_settings c = client_settings(), s = server_settings();
    c.ca_path = foreign_path;
    CHECK_ERR(client_outcome(&c, &s), UNTRUSTED);
    c.ca_path = NULL; /* the system's roots do not know ours */
    CHECK_ERR(client_outcome(&c, &s), UNTRUSTED);
    c.ca_path = root_path;
    s.cert_path = stale_path;
    CHECK_ERR(client_outcome(&c, &s), UNTRUSTED);
}

static void check_protocols(const char *client, const char *server, bool optional, bool agreed)
{
    struct pair p;
    struct tls_settings c = client_settings(), s = server_settings();
    c.alpn = client;
    s.alpn = server;
    s.alpn_optional = optional;
    pair_open(&p, &c, &s);
    settle(&p, ROOM);
    CHECK((tls_ready(p.client) && tls_ready(p.server)) == agreed);
    CHECK((err_is_ok(p.client_err) && err_is_ok(p.server_err)) == agreed);
    pair_close(&p);
}

static void the_protocol_has_to_be_agreed(void **state)
{
    (void)state;
    check_protocols("h2", "h2", false, true);
    check_protocols("h2", "http/1.1", false, false);
    check_protocols(NULL, "h2", false, false);
    check_protocols("h2", NULL, false, false);
    check_protocols(NULL, NULL, false, true);
    check_protocols(NULL, "http/1.1", true, true);
    check_protocols("http/1.1", "http/1.1", true, true);
    check_protocols("h2", "http/1.1", true, false);
}

static void nothing_is_written_before_the_handshake_is_through(void **state)
{
    (void)state;
    struct pair p;
    struct tls_settings c = client_settings(), s = server_settings();
    BUF_AUTO plain = BUF(64);
    pair_open(&p, &c, &s);
    CHECK_ERR(tls_write(p.client, BYTES_LIT("x")), UNAVAILABLE);
    CHECK_ERR(tls_write(p.server, BYTES_LIT("x")), UNAVAILABLE);
    CHECK_OK(tls_read(p.client, &plain));
    CHECK(plain.len == 0 && !tls_ready(p.client));
    CHECK_ERR(tls_end(p.client), TRUNCATED);
    pair_close(&p);
}

static void plain_text_and_older_versions_are_refused(void **state)
{
    (void)state;
    struct pair p;
    struct tls_settings c = client_settings(), s = server_settings();
    pair_open(&p, &c, &s);
    CHECK_ERR(tls_put(p.server, BYTES_LIT("GET / HTTP/1.1\r\nhost: a\r\n\r\n")), CRYPTO);
    CHECK_ERR(tls_put(p.client, BYTES_LIT("HTTP/1.1 400 Bad Request\r\n\r\n")), CRYPTO);
    pair_close(&p);

    /* A client that speaks no more than TLS 1.2. */
    pair_open(&p, &c, &s);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    CHECK(SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION) == 1);
    SSL *ssl = SSL_new(ctx);
    BIO *out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
    (void)SSL_connect(ssl);
    uint8_t hello[2048];
    int n = BIO_read(out, hello, sizeof hello);
    CHECK(n > 0);
    CHECK_ERR(tls_put(p.server, bytes_of(hello, (size_t)n)), CRYPTO);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    pair_close(&p);
}

static void what_waits_is_bounded_in_both_directions(void **state)
{
    (void)state;
    struct pair p;
    BUF_AUTO zeros = BUF(TLS_PENDING_MAX + 1);
    CHECK_OK(buf_add_zeros(&zeros, TLS_PENDING_MAX + 1));
    pair_ready(&p, ROOM);
    CHECK_ERR(tls_write(p.client, buf_view(&zeros)), LIMIT);
    CHECK_OK(tls_write(p.client, bytes_of(zeros.at, TLS_PENDING_MAX)));
    CHECK_ERR(tls_write(p.client, bytes_of(zeros.at, 1)), LIMIT);

    CHECK_OK(tls_take(p.client, &p.to_server));
    bytes head = bytes_of(p.to_server.at, TLS_PENDING_MAX);
    bytes tail = bytes_slice(buf_view(&p.to_server), TLS_PENDING_MAX, SIZE_MAX);
    CHECK_ERR(tls_put(p.server, buf_view(&p.to_server)), LIMIT);
    CHECK_OK(tls_put(p.server, head));
    CHECK_ERR(tls_put(p.server, bytes_of(tail.at, 1)), LIMIT);

    BUF_AUTO plain = BUF(TLS_PENDING_MAX);
    CHECK_OK(tls_read(p.server, &plain));
    CHECK_OK(tls_put(p.server, tail));
    CHECK_OK(tls_read(p.server, &plain));
    CHECK_BYTES(buf_view(&plain), bytes_of(zeros.at, TLS_PENDING_MAX));
    pair_close(&p);
}

static void check_config(struct tls_settings s, bool server)
{
    struct tls_context *c = NULL;
    CHECK_ERR(tls_context_new(&c, &s, server), CONFIG);
    CHECK(c == NULL);
}

static void settings_that_cannot_work_are_refused_at_once(void **state)
{
    (void)state;
    struct tls_settings s = server_settings(), c = client_settings();
    char long_name[TLS_NAME_MAX + 2];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;

    s.cert_path = NULL;
    check_config(s, true);
    s.cert_path = no_path;
    check_config(s, true);
    s.cert_path = key_path;
    check_config(s, true);
    s = server_settings();
    s.key_path = NULL;
    check_config(s, true);
    s.key_path = foreign_key_path;
    check_config(s, true);
    s = server_settings();
    s.ca_path = root_path;
    check_config(s, true);
    s = server_settings();
    s.alpn = long_name;
    check_config(s, true);
    c.ca_path = no_path;
    check_config(c, false);
    c = client_settings();
    c.cert_path = chain_path;
    check_config(c, false);
    c = client_settings();
    c.server_name = long_name;
    check_config(c, false);

    struct tls_context *ctx = NULL;
    struct tls *t = NULL;
    c = client_settings();
    c.server_name = NULL;
    CHECK_OK(tls_context_new(&ctx, &c, false));
    CHECK_ERR(tls_new(&t, ctx, NULL), CONFIG);
    CHECK_ERR(tls_new(&t, ctx, ""), CONFIG);
    CHECK_ERR(tls_new(&t, ctx, long_name), CONFIG);
    CHECK(t == NULL);
    long_name[TLS_NAME_MAX] = 0;
    CHECK_OK(tls_new(&t, ctx, long_name));
    tls_free(t);
    tls_free(NULL);
    tls_context_free(ctx);
    tls_context_free(NULL);
}

/* ---- a shared key in the place of certificates ---- */

static const uint8_t key_a[TLS_PSK_LEN] = { 1, 2, 3 };
static const uint8_t key_b[TLS_PSK_LEN] = { 1, 2, 4 };

static struct tls_settings psk_settings(const uint8_t key[TLS_PSK_LEN])
{
    return (struct tls_settings){ .psk = bytes_of(key, TLS_PSK_LEN), .alpn = "h2" };
}

static void check_psk(const struct tls_settings *c, const struct tls_settings *s, bool agreed)
{
    struct pair p;
    BUF_AUTO plain = BUF(64);
    pair_open(&p, c, s);
    settle(&p, ROOM);
    CHECK((tls_ready(p.client) && tls_ready(p.server)) == agreed);
    CHECK((err_is_ok(p.client_err) && err_is_ok(p.server_err)) == agreed);
    if (agreed) {
        CHECK_OK(tls_write(p.client, BYTES_LIT("seen?")));
        CHECK_OK(tls_write(p.server, BYTES_LIT("fresh")));
        settle(&p, 7);
        read_exactly(p.server, BYTES_LIT("seen?"));
        read_exactly(p.client, BYTES_LIT("fresh"));
    } else if (err_is_ok(p.server_err)) {
        /* In TLS 1.3 a server may be through before it is refused; nothing of it is believed. */
        CHECK_OK(tls_read(p.server, &plain));
        CHECK(plain.len == 0);
    }
    pair_close(&p);
}

static void whoever_has_the_shared_key_is_let_in_and_nobody_else(void **state)
{
    (void)state;
    struct tls_settings a = psk_settings(key_a), b = psk_settings(key_b);
    struct tls_settings c = client_settings(), s = server_settings();
    for (int i = 0; i < 3; i++)
        check_psk(&a, &a, true);
    check_psk(&a, &b, false);
    check_psk(&b, &a, false);
    /* A certificate, even a good one, is no substitute on either side. */
    check_psk(&c, &a, false);
    check_psk(&a, &s, false);
}

static void a_shared_key_agrees_on_the_protocol_too(void **state)
{
    (void)state;
    struct tls_settings c = psk_settings(key_a), s = psk_settings(key_a);
    c.alpn = "other";
    check_psk(&c, &s, false);
    c.alpn = NULL;
    check_psk(&c, &s, false);
}

static void a_shared_key_of_another_length_or_with_certificates_is_refused(void **state)
{
    (void)state;
    struct tls_settings s = psk_settings(key_a);
    s.psk.len--;
    check_config(s, true);
    check_config(s, false);
    s = server_settings();
    s.psk = BYTES_ARRAY(key_a);
    check_config(s, true);
    s = client_settings();
    s.psk = BYTES_ARRAY(key_a);
    check_config(s, false);
}

static err converse(void *arg)
{
    (void)arg;
    struct tls_settings s = client_settings();
    struct tls_context *c = NULL;
    struct tls *t = NULL;
    BUF_AUTO out = BUF(ROOM);
    err e = tls_context_new(&c, &s, false);
    if (err_is_ok(e))
        e = tls_new(&t, c, NULL);
    if (err_is_ok(e))
        e = tls_take(t, &out);
    tls_free(t);
    tls_context_free(c);
    return e;
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    law_every_allocation_fails_once(converse, NULL);
}

static void write_world(void)
{
    const int64_t now = clock_wall_s();
    struct pki_spec r = {
        .name = "root", .constraints = "critical,CA:TRUE", .from_s = now - DAY, .until_s = now + DAY
    };
    struct pki_cert *root = pki_new(&r), *foreign = pki_new(&r);
    r.issuer = root;
    r.name = "issuer";
    struct pki_cert *issuer = pki_new(&r);
    struct pki_spec l = { .name = "worker",
                          .san = "DNS:worker.test,DNS:*.pool.test,IP:127.0.0.1,IP:::1",
                          .issuer = issuer,
                          .from_s = now - DAY,
                          .until_s = now + DAY };
    struct pki_cert *leaf = pki_new(&l);
    pki_write_chain(root_path, (const struct pki_cert *const[]){ root }, 1);
    pki_write_chain(foreign_path, (const struct pki_cert *const[]){ foreign }, 1);
    pki_write_chain(chain_path, (const struct pki_cert *const[]){ leaf, issuer }, 2);
    pki_write_key(key_path, leaf);
    pki_write_key(foreign_key_path, foreign);

    /* The same key, in a certificate that has run out. */
    l.key_of = leaf;
    l.until_s = now - 10;
    struct pki_cert *stale = pki_new(&l);
    pki_write_chain(stale_path, (const struct pki_cert *const[]){ stale, issuer }, 2);
    pki_free(stale);
    pki_free(leaf);
    pki_free(issuer);
    pki_free(root);
    pki_free(foreign);
}

static int setup(void **state)
{
    (void)state;
    CHECK(mkdtemp(folder) != NULL);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        (void)snprintf(paths[i], PATH_LEN, "%s/%s", folder, names[i]);
    write_world();
    return err_is_ok(crypto_init()) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        (void)unlink(paths[i]);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_split_gives_the_same_conversation),
        cmocka_unit_test(much_data_arrives_whole_however_small_the_readers_room),
        cmocka_unit_test(the_sender_takes_out_in_pieces_what_its_reader_has_room_for),
        cmocka_unit_test(a_clean_close_is_told_from_a_cut),
        cmocka_unit_test(any_flipped_bit_of_a_record_is_refused_for_good),
        cmocka_unit_test(the_servers_name_has_to_be_the_expected_one),
        cmocka_unit_test(an_unknown_or_stale_certificate_is_not_trusted),
        cmocka_unit_test(the_protocol_has_to_be_agreed),
        cmocka_unit_test(nothing_is_written_before_the_handshake_is_through),
        cmocka_unit_test(plain_text_and_older_versions_are_refused),
        cmocka_unit_test(what_waits_is_bounded_in_both_directions),
        cmocka_unit_test(settings_that_cannot_work_are_refused_at_once),
        cmocka_unit_test(whoever_has_the_shared_key_is_let_in_and_nobody_else),
        cmocka_unit_test(a_shared_key_agrees_on_the_protocol_too),
        cmocka_unit_test(a_shared_key_of_another_length_or_with_certificates_is_refused),
        cmocka_unit_test(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
