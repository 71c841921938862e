/* What the published vectors do not ask: limits, orders of calls, every changed bit. */
#include "crypto/aead.h"
#include "crypto/init.h"
#include "tests/lib/law.h"
#include "wire/ehbp.h"
#include "wire/keylist.h"

enum { FRAME_HEAD = 4 };

struct pair {
    struct hpke_private_key *key;
    struct key_config config;
    struct ehbp_client *client;
    struct ehbp_server *server;
    struct buf request, opened;
};

static err serve(const struct pair *p, bytes field, size_t frame_max, struct ehbp_server **out)
{
    const struct hpke_private_key *const keys[] = { p->key };
    return ehbp_server_new(out, keys, 1, field, frame_max);
}

static void set_up(struct pair *p, size_t frame_max)
{
    char field[EHBP_HEX_LEN + 1];
    *p = (struct pair){ .request = BUF(1 << 22), .opened = BUF(1 << 22) };
    CHECK_OK(hpke_key_generate(&p->key, KEM_X25519_HKDF_SHA256));
    p->config = (struct key_config){ .kem = KEM_X25519_HKDF_SHA256,
                                     .public_key = hpke_key_public(p->key),
                                     .suites = { { HPKE_KDF_HKDF_SHA256, AEAD_AES_256_GCM } },
                                     .suites_n = 1 };
    CHECK_OK(ehbp_client_new(&p->client, &p->config, NULL));
    ehbp_client_key(p->client, field);
    CHECK_OK(serve(p, bytes_str(field), frame_max, &p->server));
}

static void tear_down(struct pair *p)
{
    ehbp_client_free(p->client);
    ehbp_server_free(p->server);
    hpke_key_free(p->key);
    buf_clear(&p->request);
    buf_clear(&p->opened);
}

static void there_and_back(void **state)
{
    (void)state;
    struct pair p;
    char field[EHBP_HEX_LEN + 1];
    BUF_AUTO answer = BUF(1 << 22);
    BUF_AUTO back = BUF(1 << 22);
    static uint8_t large[3 * EHBP_SENT_MAX + 5];
    set_up(&p, 0);
    memset(large, 'x', sizeof large);
    CHECK_OK(ehbp_client_seal(p.client, BYTES_ARRAY(large), &p.request));
    CHECK(p.request.len == sizeof large + 4 * (FRAME_HEAD + AEAD_TAG_LEN));
    CHECK_OK(ehbp_client_seal(p.client, (bytes){ 0 }, &p.request));
    CHECK(!ehbp_server_verified(p.server));
    CHECK_ERR(ehbp_server_nonce(p.server, field), INTERNAL);
    CHECK_ERR(ehbp_server_seal(p.server, BYTES_LIT("early"), &answer), INTERNAL);
    CHECK_OK(ehbp_server_open(p.server, buf_view(&p.request), true, &p.opened));
    CHECK(ehbp_server_verified(p.server) && ehbp_server_enc(p.server).len == EHBP_KEY_LEN);
    CHECK_BYTES(buf_view(&p.opened), BYTES_ARRAY(large));
    CHECK_OK(ehbp_server_nonce(p.server, field));
    CHECK_ERR(ehbp_server_nonce(p.server, field), INTERNAL); /* a nonce is never used twice */
    CHECK_OK(ehbp_server_seal(p.server, BYTES_LIT("one"), &answer));
    CHECK_OK(ehbp_server_seal(p.server, BYTES_LIT("two"), &answer));
    CHECK_ERR(ehbp_client_open(p.client, buf_view(&answer), true, &back), INTERNAL);
    tear_down(&p);
}

static void an_answer_opens_after_its_nonce_only(void **state)
{
    (void)state;
    struct pair p;
    char field[EHBP_HEX_LEN + 1];
    BUF_AUTO answer = BUF(1 << 16);
    BUF_AUTO back = BUF(1 << 16);
    set_up(&p, 0);
    CHECK_OK(ehbp_client_seal(p.client, BYTES_LIT("q"), &p.request));
    CHECK_OK(ehbp_server_open(p.server, buf_view(&p.request), true, &p.opened));
    CHECK_OK(ehbp_server_nonce(p.server, field));
    CHECK_OK(ehbp_server_seal(p.server, BYTES_LIT("one"), &answer));
    CHECK_OK(ehbp_server_seal(p.server, BYTES_LIT("two"), &answer));
    CHECK_OK(ehbp_client_begin(p.client, bytes_str(field)));
    CHECK_OK(ehbp_client_open(p.client, buf_view(&answer), true, &back));
    CHECK_BYTES(buf_view(&back), BYTES_LIT("onetwo"));
    tear_down(&p);
}

/* Behind a change nothing opens any more, and an error stays. */
static void any_changed_bit_is_refused(void **state)
{
    (void)state;
    for (size_t bit = 0;; bit++) {
        struct pair p;
        set_up(&p, 100);
        CHECK_OK(ehbp_client_seal(p.client, BYTES_LIT("first"), &p.request));
        CHECK_OK(ehbp_client_seal(p.client, BYTES_LIT("second"), &p.request));
        bool done = bit == 8 * p.request.len;
        if (!done)
            p.request.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
        err e = ehbp_server_open(p.server, buf_view(&p.request), true, &p.opened);
        CHECK((e.code == ERR_OK) == done);
        CHECK(bytes_starts(BYTES_LIT("firstsecond"), buf_view(&p.opened)));
        if (!done)
            CHECK(ehbp_server_open(p.server, (bytes){ 0 }, true, &p.opened).code == e.code);
        tear_down(&p);
        if (done)
            break;
    }
}

static void a_frame_at_the_limit_opens_and_one_above_is_refused_by_its_length(void **state)
{
    (void)state;
    static const uint8_t text[101] = { 1 };
    for (size_t over = 0; over < 2; over++) {
        struct pair p;
        set_up(&p, 100);
        CHECK_OK(ehbp_client_seal(p.client, bytes_of(text, 100 + over), &p.request));
        if (over == 0)
            CHECK_OK(ehbp_server_open(p.server, buf_view(&p.request), true, &p.opened));
        else
            CHECK_ERR(ehbp_server_open(p.server, bytes_slice(buf_view(&p.request), 0, FRAME_HEAD),
                                       false, &p.opened),
                      LIMIT);
        tear_down(&p);
    }
}

static void a_body_without_a_frame_vouches_for_nothing(void **state)
{
    (void)state;
    static const uint8_t zeros[8] = { 0 };
    struct pair p;
    char field[EHBP_HEX_LEN + 1];
    set_up(&p, 0);
    CHECK_ERR(ehbp_server_open(p.server, BYTES_ARRAY(zeros), true, &p.opened), MALFORMED);
    CHECK_ERR(ehbp_server_nonce(p.server, field), INTERNAL);
    tear_down(&p);
}

static void only_its_own_suite_and_a_key_of_64_hex_digits(void **state)
{
    (void)state;
    struct pair p;
    struct ehbp_server *server;
    struct ehbp_client *client;
    set_up(&p, 0);
    p.config.suites[0].aead = AEAD_AES_128_GCM;
    CHECK_ERR(ehbp_client_new(&client, &p.config, NULL), NOT_FOUND);
    CHECK_ERR(serve(&p, (bytes){ 0 }, 0, &server), MALFORMED);
    CHECK_ERR(serve(&p, BYTES_LIT("00"), 0, &server), MALFORMED);
    tear_down(&p);
}

/* In the place of each, and at any split; a body for none of them is refused. */
static void the_key_is_found_among_several(void **state)
{
    (void)state;
    struct hpke_private_key *others[EHBP_KEYS_MAX] = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        CHECK_OK(hpke_key_generate(&others[i], KEM_X25519_HKDF_SHA256));
    for (size_t at = 0; at <= EHBP_KEYS_MAX; at++) {
        const struct hpke_private_key *keys[EHBP_KEYS_MAX];
        struct pair p;
        struct ehbp_server *server;
        char field[EHBP_HEX_LEN + 1];
        set_up(&p, 0);
        for (size_t i = 0; i < EHBP_KEYS_MAX; i++)
            keys[i] = i == at ? p.key : others[i];
        ehbp_client_key(p.client, field);
        CHECK_OK(ehbp_server_new(&server, keys, EHBP_KEYS_MAX, bytes_str(field), 0));
        CHECK_OK(ehbp_client_seal(p.client, BYTES_LIT("first"), &p.request));
        CHECK_OK(ehbp_client_seal(p.client, BYTES_LIT("second"), &p.request));
        CHECK_OK(
            ehbp_server_open(server, bytes_slice(buf_view(&p.request), 0, 10), false, &p.opened));
        CHECK(ehbp_server_pending(server) >= 10 - FRAME_HEAD && !ehbp_server_verified(server));
        err e = ehbp_server_open(server, bytes_slice(buf_view(&p.request), 10, p.request.len), true,
                                 &p.opened);
        CHECK(ehbp_server_verified(server) == (at < EHBP_KEYS_MAX));
        if (at < EHBP_KEYS_MAX) {
            CHECK_OK(e);
            CHECK_BYTES(buf_view(&p.opened), BYTES_LIT("firstsecond"));
            CHECK(ehbp_server_pending(server) == 0);
            CHECK_OK(ehbp_server_nonce(server, field));
        } else {
            CHECK_ERR(e, CRYPTO);
        }
        ehbp_server_free(server);
        tear_down(&p);
    }
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        hpke_key_free(others[i]);
}

static void a_receipt_goes_beside_the_body_once(void **state)
{
    (void)state;
    struct pair p;
    char field[EHBP_HEX_LEN + 1];
    BUF_AUTO sealed = BUF(1 << 16);
    BUF_AUTO body = BUF(1 << 16);
    BUF_AUTO back = BUF(1 << 16);
    set_up(&p, 0);
    CHECK_ERR(ehbp_server_seal_receipt(p.server, BYTES_LIT("receipt"), &sealed), INTERNAL);
    CHECK_OK(ehbp_client_seal(p.client, BYTES_LIT("q"), &p.request));
    CHECK_OK(ehbp_server_open(p.server, buf_view(&p.request), true, &p.opened));
    CHECK_OK(ehbp_server_nonce(p.server, field));
    CHECK_OK(ehbp_server_seal_receipt(p.server, BYTES_LIT("receipt"), &sealed));
    CHECK_ERR(ehbp_server_seal_receipt(p.server, BYTES_LIT("receipt"), &sealed), INTERNAL);
    CHECK_OK(ehbp_server_seal(p.server, BYTES_LIT("body"), &body));
    CHECK_ERR(ehbp_client_open_receipt(p.client, buf_view(&sealed), &back), INTERNAL);
    CHECK_OK(ehbp_client_begin(p.client, bytes_str(field)));
    CHECK_OK(ehbp_client_open_receipt(p.client, buf_view(&sealed), &back));
    CHECK_BYTES(buf_view(&back), BYTES_LIT("receipt"));
    CHECK_ERR(ehbp_client_open_receipt(p.client, bytes_slice(buf_view(&body), FRAME_HEAD, body.len),
                                       &back),
              CRYPTO);
    for (size_t bit = 0; bit < 8 * sealed.len; bit++) {
        sealed.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK_ERR(ehbp_client_open_receipt(p.client, buf_view(&sealed), &back), CRYPTO);
        sealed.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    CHECK_ERR(ehbp_client_open_receipt(p.client, bytes_of(sealed.at, AEAD_TAG_LEN - 1), &back),
              MALFORMED);
    tear_down(&p);
}

static err exchange(void *arg)
{
    struct pair *p = arg;
    struct ehbp_client *client = NULL;
    struct ehbp_server *server = NULL;
    char field[EHBP_HEX_LEN + 1];
    BUF_AUTO sealed = BUF(1 << 16);
    BUF_AUTO plain = BUF(1 << 16);
    BUF_AUTO receipt = BUF(1 << 16);
    err e = ehbp_client_new(&client, &p->config, NULL);
    if (e.code == ERR_OK) {
        ehbp_client_key(client, field);
        e = ehbp_client_seal(client, BYTES_LIT("text"), &sealed);
    }
    if (e.code == ERR_OK)
        e = serve(p, bytes_str(field), 0, &server);
    for (size_t i = 0; e.code == ERR_OK && i < sealed.len; i++)
        e = ehbp_server_open(server, bytes_of(sealed.at + i, 1), i + 1 == sealed.len, &plain);
    if (e.code == ERR_OK)
        e = ehbp_server_nonce(server, field);
    if (e.code == ERR_OK)
        e = ehbp_client_begin(client, bytes_str(field));
    if (e.code == ERR_OK)
        e = ehbp_server_seal_receipt(server, BYTES_LIT("receipt"), &receipt);
    ehbp_server_free(server);
    ehbp_client_free(client);
    return e;
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    struct pair p;
    set_up(&p, 0);
    law_every_allocation_fails_once(exchange, &p);
    tear_down(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(an_answer_opens_after_its_nonce_only),
        cmocka_unit_test(any_changed_bit_is_refused),
        cmocka_unit_test(a_frame_at_the_limit_opens_and_one_above_is_refused_by_its_length),
        cmocka_unit_test(a_body_without_a_frame_vouches_for_nothing),
        cmocka_unit_test(only_its_own_suite_and_a_key_of_64_hex_digits),
        cmocka_unit_test(the_key_is_found_among_several),
        cmocka_unit_test(a_receipt_goes_beside_the_body_once),
        cmocka_unit_test(survives_every_failing_allocation),
    };
    CHECK_OK(crypto_init());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
