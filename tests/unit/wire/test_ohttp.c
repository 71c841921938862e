#include "crypto/hpke.h"
#include "crypto/init.h"
#include "tests/lib/law.h"
#include "wire/ohttp.h"
#include "wire/ohttp_test.h"

/* One server key, id 7, that offers all AEADs. */
static struct ohttp_keys *keys;
static struct key_config config;

struct pair {
    struct ohttp_client *client;
    struct ohttp_server *server;
    struct buf request;
    struct buf response;
    struct buf opened; /* what the end under test got */
};

static void pair_clear(struct pair *p)
{
    ohttp_client_free(p->client);
    ohttp_server_free(p->server);
    buf_clear(&p->request);
    buf_clear(&p->response);
    buf_clear(&p->opened);
}

#define PAIR_AUTO                                                                                  \
    CLEANUP(pair_clear)                                                                            \
    struct pair

static void begin(struct pair *p, enum ohttp_variant variant, uint16_t aead)
{
    *p = (struct pair){ .request = BUF(1 << 20), .response = BUF(1 << 20), .opened = BUF(1 << 20) };
    CHECK_OK(ohttp_client_new(&p->client, variant, &config, aead, NULL));
    CHECK_OK(ohttp_server_new(&p->server, variant, keys));
}

static void put_request(struct pair *p, bytes plain)
{
    CHECK_OK(ohttp_client_seal(p->client, plain, true, &p->request));
}

/* Opens the body in two pieces and then per `step`; the outcome of the last call. */
static err open_at(struct pair *p, bool at_server, bytes body, size_t first, size_t step)
{
    enum ohttp_step got = OHTTP_MORE;
    err e;
    buf_truncate(&p->opened, 0);
    size_t n = first;
    do {
        bytes piece;
        (void)bytes_take(&body, n < body.len ? n : body.len, &piece);
        bool end = body.len == 0;
        e = at_server ? ohttp_server_open(p->server, piece, end, &p->opened, &got)
                      : ohttp_client_open(p->client, piece, end, &p->opened, &got);
        if (e.code == ERR_OK)
            CHECK((got == OHTTP_DONE) == end);
        n = step;
    } while (body.len > 0 && e.code == ERR_OK);
    return e;
}

static void fill(struct buf *b, size_t len)
{
    for (size_t i = 0; i < len; i++)
        CHECK_OK(buf_add_u8(b, (uint8_t)(i * 7 + i / 251)));
}

static void carry(enum ohttp_variant variant, uint16_t aead, size_t len, size_t step)
{
    PAIR_AUTO p;
    BUF_AUTO plain = BUF(1 << 20);
    fill(&plain, len);
    begin(&p, variant, aead);
    put_request(&p, buf_view(&plain));
    CHECK_OK(open_at(&p, true, buf_view(&p.request), step, step));
    CHECK_BYTES(buf_view(&p.opened), buf_view(&plain));
    CHECK_OK(ohttp_server_seal(p.server, buf_view(&plain), true, &p.response));
    CHECK_OK(open_at(&p, false, buf_view(&p.response), step, step));
    CHECK_BYTES(buf_view(&p.opened), buf_view(&plain));
}

static void carries_messages_of_any_length_both_ways(void **state)
{
    (void)state;
    const size_t lens[] = { 0, 1, 1000, OHTTP_CHUNK_MAX, OHTTP_CHUNK_MAX + 1, 50000 };
    const size_t steps[] = { 1 << 20, 1000, 16384 };
    for (uint16_t aead = 1; aead <= 3; aead++) {
        for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
            carry(OHTTP_PLAIN, aead, lens[i], steps[i % ARRAY_LEN(steps)]);
            carry(OHTTP_CHUNKED, aead, lens[i], steps[i % ARRAY_LEN(steps)]);
        }
    }
}

static void streams_chunk_by_chunk(void **state)
{
    (void)state;
    PAIR_AUTO p;
    begin(&p, OHTTP_CHUNKED, 2);
    enum ohttp_step step;
    BUF_AUTO out = BUF(4096);
    CHECK_OK(ohttp_client_seal(p.client, BYTES_LIT("one"), false, &out));
    CHECK(!ohttp_server_verified(p.server));
    CHECK_ERR(ohttp_server_seal(p.server, BYTES_LIT("x"), false, &p.response), INTERNAL);
    CHECK_OK(ohttp_server_open(p.server, buf_view(&out), false, &p.opened, &step));
    CHECK_BYTES(buf_view(&p.opened), BYTES_LIT("one"));
    CHECK(step == OHTTP_MORE && ohttp_server_verified(p.server));

    /* the answer may begin before the request is complete */
    buf_truncate(&p.opened, 0);
    CHECK_OK(ohttp_server_seal(p.server, BYTES_LIT("a"), false, &p.response));
    CHECK_OK(ohttp_client_open(p.client, buf_view(&p.response), false, &p.opened, &step));
    CHECK_BYTES(buf_view(&p.opened), BYTES_LIT("a"));
    buf_truncate(&p.response, 0);
    CHECK_OK(ohttp_server_seal(p.server, (bytes){ 0 }, true, &p.response));
    CHECK(p.response.len == 17);
    CHECK_OK(ohttp_client_open(p.client, buf_view(&p.response), true, &p.opened, &step));
    CHECK(step == OHTTP_DONE);
    CHECK_ERR(ohttp_server_seal(p.server, (bytes){ 0 }, true, &p.response), CLOSED);

    buf_truncate(&out, 0);
    CHECK_OK(ohttp_client_seal(p.client, (bytes){ 0 }, true, &out));
    CHECK(out.len == 17);
    CHECK_OK(ohttp_server_open(p.server, buf_view(&out), true, &p.opened, &step));
    CHECK(step == OHTTP_DONE);
    CHECK_ERR(ohttp_client_seal(p.client, (bytes){ 0 }, true, &out), CLOSED);
    /* nothing can follow the end */
    CHECK_OK(ohttp_server_open(p.server, (bytes){ 0 }, true, &p.opened, &step));
    CHECK(step == OHTTP_DONE);
    CHECK_ERR(ohttp_server_open(p.server, BYTES_LIT("x"), true, &p.opened, &step), MALFORMED);
}

/* Two chunks and an empty final one, and a response of the same shape. */
static void begin_short(struct pair *p, enum ohttp_variant variant)
{
    begin(p, variant, 1);
    if (variant == OHTTP_CHUNKED) {
        CHECK_OK(ohttp_client_seal(p->client, BYTES_LIT("ab"), false, &p->request));
        CHECK_OK(ohttp_client_seal(p->client, BYTES_LIT("cd"), false, &p->request));
    }
    put_request(p, variant == OHTTP_CHUNKED ? (bytes){ 0 } : BYTES_LIT("abcd"));
}

static void answer_short(struct pair *p, enum ohttp_variant variant)
{
    if (variant == OHTTP_CHUNKED) {
        CHECK_OK(ohttp_server_seal(p->server, BYTES_LIT("ab"), false, &p->response));
        CHECK_OK(ohttp_server_seal(p->server, BYTES_LIT("cd"), false, &p->response));
    }
    bytes last = variant == OHTTP_CHUNKED ? (bytes){ 0 } : BYTES_LIT("abcd");
    CHECK_OK(ohttp_server_seal(p->server, last, true, &p->response));
}

static void opens_the_same_at_every_split(void **state)
{
    (void)state;
    for (enum ohttp_variant variant = OHTTP_PLAIN; variant <= OHTTP_CHUNKED; variant++) {
        size_t total = 1;
        for (size_t first = 0; first <= total; first++) {
            PAIR_AUTO p;
            begin_short(&p, variant);
            total = p.request.len;
            CHECK_OK(open_at(&p, true, buf_view(&p.request), first, first == 0 ? 1 : 4096));
            CHECK_BYTES(buf_view(&p.opened), BYTES_LIT("abcd"));
            answer_short(&p, variant);
            CHECK_OK(open_at(&p, false, buf_view(&p.response), first, first == 0 ? 1 : 4096));
            CHECK_BYTES(buf_view(&p.opened), BYTES_LIT("abcd"));
        }
    }
}

/* Only the lengths of chunks are not authenticated, and none of their other forms is one bit off. */
static void refuses_any_flipped_bit(void **state)
{
    (void)state;
    for (enum ohttp_variant variant = OHTTP_PLAIN; variant <= OHTTP_CHUNKED; variant++) {
        size_t bits = 1;
        for (size_t bit = 0; bit < bits; bit++) {
            PAIR_AUTO p;
            begin_short(&p, variant);
            bits = p.request.len * 8;
            p.request.at[bit / 8] ^= (uint8_t)(1U << (bit % 8));
            err e = open_at(&p, true, buf_view(&p.request), 4096, 4096);
            CHECK(e.code != ERR_OK);
            CHECK((e.code == ERR_NOT_FOUND) <= (bit / 8 < OHTTP_HEADER_LEN));
        }
        bits = 1;
        for (size_t bit = 0; bit < bits; bit++) {
            PAIR_AUTO p;
            begin_short(&p, variant);
            CHECK_OK(open_at(&p, true, buf_view(&p.request), 4096, 4096));
            answer_short(&p, variant);
            bits = p.response.len * 8;
            p.response.at[bit / 8] ^= (uint8_t)(1U << (bit % 8));
            CHECK(open_at(&p, false, buf_view(&p.response), 4096, 4096).code != ERR_OK);
        }
    }
}

static void tells_every_cut_from_an_end(void **state)
{
    (void)state;
    const char *const released[] = { "", "ab", "abcd" };
    for (int at_server = 0; at_server < 2; at_server++) {
        size_t lead = at_server ? OHTTP_HEADER_LEN + 32 : 16;
        size_t total = 1;
        for (size_t len = 0; len < total; len++) {
            PAIR_AUTO p;
            begin_short(&p, OHTTP_CHUNKED);
            bytes body = buf_view(&p.request);
            if (!at_server) {
                CHECK_OK(open_at(&p, true, body, 4096, 4096));
                answer_short(&p, OHTTP_CHUNKED);
                body = buf_view(&p.response);
            }
            total = body.len;
            CHECK_ERR(open_at(&p, at_server, bytes_slice(body, 0, len), 4096, 4096), TRUNCATED);
            size_t chunks = len < lead ? 0 : (len - lead) / 19;
            CHECK_BYTES(buf_view(&p.opened), bytes_str(released[chunks]));
            /* errors are final */
            CHECK_ERR(open_at(&p, at_server, body, 4096, 4096), TRUNCATED);
        }
    }
}

static void refuses_unknown_keys_before_anything_else(void **state)
{
    (void)state;
    const struct {
        const char *header;
        const char *word;
    } cases[] = {
        { "07002000010001", "ok" },        { "08002000010001", "NOT_FOUND" },
        { "07002100010001", "NOT_FOUND" }, { "07002000020001", "NOT_FOUND" },
        { "07002000010004", "NOT_FOUND" }, { "0700200001ffff", "NOT_FOUND" },
        { "070020000100", "ok" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ohttp_server *s;
        enum ohttp_step step;
        BUF_AUTO header = BUF(16);
        BUF_AUTO out = BUF(16);
        law_hex(&header, cases[i].header);
        CHECK_OK(ohttp_server_new(&s, OHTTP_CHUNKED, keys));
        err e = ohttp_server_open(s, buf_view(&header), false, &out, &step);
        assert_string_equal(err_word(e), cases[i].word);
        if (e.code == ERR_OK)
            CHECK_ERR(ohttp_server_open(s, (bytes){ 0 }, true, &out, &step), TRUNCATED);
        ohttp_server_free(s);
    }
}

/* A key that went away between header and encapsulated key is not used any more. */
static void does_not_use_a_key_retired_in_between(void **state)
{
    (void)state;
    struct ohttp_keys *own;
    struct hpke_private_key *key;
    struct key_config c;
    PAIR_AUTO p = { .request = BUF(4096), .opened = BUF(4096) };
    enum ohttp_step step;
    const struct ohttp_key_settings s = { .id = 1, .suites = { { 1, 1 } }, .suites_n = 1 };
    CHECK_OK(hpke_key_generate(&key, KEM_X25519_HKDF_SHA256));
    CHECK_OK(ohttp_keys_new(&own));
    CHECK_OK(ohttp_keys_add(own, &s, key));
    CHECK(ohttp_keys_find(own, 1, &c));
    CHECK_OK(ohttp_client_new(&p.client, OHTTP_PLAIN, &c, 1, NULL));
    CHECK_OK(ohttp_server_new(&p.server, OHTTP_PLAIN, own));
    put_request(&p, BYTES_LIT("x"));
    bytes body = buf_view(&p.request);
    CHECK_OK(ohttp_server_open(p.server, bytes_slice(body, 0, 10), false, &p.opened, &step));
    CHECK(ohttp_keys_retire(own, 1) == 1);
    CHECK_ERR(ohttp_server_open(p.server, bytes_slice(body, 10, 4096), true, &p.opened, &step),
              NOT_FOUND);
    ohttp_keys_free(own);
}

static void does_not_open_one_variant_as_the_other(void **state)
{
    (void)state;
    for (enum ohttp_variant variant = OHTTP_PLAIN; variant <= OHTTP_CHUNKED; variant++) {
        PAIR_AUTO p;
        begin_short(&p, variant);
        ohttp_server_free(p.server);
        CHECK_OK(ohttp_server_new(&p.server, variant == OHTTP_PLAIN ? OHTTP_CHUNKED : OHTTP_PLAIN,
                                  keys));
        CHECK(open_at(&p, true, buf_view(&p.request), 4096, 4096).code != ERR_OK);
        CHECK(p.opened.len == 0);
    }
}

static void does_not_open_the_answer_to_another_request(void **state)
{
    (void)state;
    PAIR_AUTO p;
    PAIR_AUTO other;
    begin_short(&p, OHTTP_CHUNKED);
    begin_short(&other, OHTTP_CHUNKED);
    CHECK_OK(open_at(&p, true, buf_view(&p.request), 4096, 4096));
    answer_short(&p, OHTTP_CHUNKED);
    CHECK_ERR(open_at(&other, false, buf_view(&p.response), 4096, 4096), CRYPTO);
}

static void encapsulates_only_to_what_is_offered(void **state)
{
    (void)state;
    struct ohttp_client *c = NULL;
    struct key_config other = config;
    CHECK_ERR(ohttp_client_new(&c, OHTTP_PLAIN, &config, 4, NULL), NOT_FOUND);
    other.suites[0] = (struct key_suite){ 1, 0x99 };
    CHECK_ERR(ohttp_client_new(&c, OHTTP_PLAIN, &other, 0x99, NULL), UNSUPPORTED);
    other.suites[0] = (struct key_suite){ 1, HPKE_AEAD_EXPORT_ONLY };
    CHECK_ERR(ohttp_client_new(&c, OHTTP_PLAIN, &other, HPKE_AEAD_EXPORT_ONLY, NULL), UNSUPPORTED);
    static const uint8_t zeros[32];
    other = config;
    other.public_key = BYTES_ARRAY(zeros);
    CHECK_ERR(ohttp_client_new(&c, OHTTP_PLAIN, &other, 1, NULL), CRYPTO);
    other.public_key.len = 31;
    CHECK_ERR(ohttp_client_new(&c, OHTTP_PLAIN, &other, 1, NULL), CRYPTO);
    CHECK(c == NULL);
}

static void shares_names_and_secrets_of_the_exchange(void **state)
{
    (void)state;
    PAIR_AUTO p;
    uint8_t a[32];
    uint8_t b[32];
    uint8_t id = 0;
    begin_short(&p, OHTTP_CHUNKED);
    CHECK(ohttp_server_enc(p.server).len == 0);
    CHECK(!ohttp_server_key_id(p.server, &id));
    CHECK_ERR(ohttp_server_export(p.server, BYTES_LIT("l"), b, sizeof b), INTERNAL);
    CHECK(ohttp_client_response_nonce(p.client).len == 0);
    CHECK_OK(open_at(&p, true, buf_view(&p.request), 4096, 4096));
    answer_short(&p, OHTTP_CHUNKED);
    CHECK_OK(open_at(&p, false, buf_view(&p.response), 4096, 4096));

    CHECK(ohttp_client_enc(p.client).len == 32);
    CHECK_BYTES(ohttp_client_enc(p.client), ohttp_server_enc(p.server));
    CHECK(ohttp_server_key_id(p.server, &id) && id == 7);
    CHECK(ohttp_client_response_nonce(p.client).len == 16);
    CHECK_BYTES(ohttp_client_response_nonce(p.client), ohttp_server_response_nonce(p.server));
    CHECK_OK(ohttp_client_export(p.client, BYTES_LIT("label"), a, sizeof a));
    CHECK_OK(ohttp_server_export(p.server, BYTES_LIT("label"), b, sizeof b));
    CHECK_BYTES(BYTES_ARRAY(a), BYTES_ARRAY(b));
    CHECK_OK(ohttp_server_export(p.server, BYTES_LIT("other"), b, sizeof b));
    CHECK(!bytes_equal(BYTES_ARRAY(a), BYTES_ARRAY(b)));
}

static void draws_a_fresh_nonce_and_encapsulation_each_time(void **state)
{
    (void)state;
    PAIR_AUTO p;
    PAIR_AUTO q;
    begin_short(&p, OHTTP_PLAIN);
    begin_short(&q, OHTTP_PLAIN);
    CHECK(!bytes_equal(ohttp_client_enc(p.client), ohttp_client_enc(q.client)));
    CHECK_OK(open_at(&p, true, buf_view(&p.request), 4096, 4096));
    CHECK_OK(open_at(&q, true, buf_view(&q.request), 4096, 4096));
    answer_short(&p, OHTTP_PLAIN);
    answer_short(&q, OHTTP_PLAIN);
    CHECK(
        !bytes_equal(ohttp_server_response_nonce(p.server), ohttp_server_response_nonce(q.server)));
}

static void stops_when_the_caller_has_no_room(void **state)
{
    (void)state;
    PAIR_AUTO p;
    BUF_AUTO small = BUF(3);
    enum ohttp_step step;
    begin_short(&p, OHTTP_CHUNKED);
    CHECK_ERR(ohttp_server_open(p.server, buf_view(&p.request), true, &small, &step), LIMIT);
    CHECK_BYTES(buf_view(&small), BYTES_LIT("ab"));
    CHECK_ERR(ohttp_server_open(p.server, (bytes){ 0 }, true, &p.opened, &step), LIMIT);

    PAIR_AUTO q;
    begin(&q, OHTTP_CHUNKED, 1);
    CHECK_ERR(ohttp_client_seal(q.client, BYTES_LIT("x"), true, &small), LIMIT);
    CHECK_ERR(ohttp_client_seal(q.client, BYTES_LIT("x"), true, &q.request), LIMIT);
}

static void bounds_the_length_of_a_message(void **state)
{
    (void)state;
    for (uint64_t over = 0; over < 2; over++) {
        PAIR_AUTO p;
        begin(&p, OHTTP_CHUNKED, 1);
        ohttp_test_client_used(p.client, OHTTP_MESSAGE_MAX - 3 + over,
                               OHTTP_MESSAGE_MAX - 3 + over);
        err e = ohttp_client_seal(p.client, BYTES_LIT("abc"), true, &p.request);
        assert_int_equal(e.code, over ? ERR_LIMIT : ERR_OK);

        PAIR_AUTO q;
        begin_short(&q, OHTTP_PLAIN);
        CHECK_OK(open_at(&q, true, buf_view(&q.request), 4096, 4096));
        answer_short(&q, OHTTP_PLAIN); /* four bytes */
        ohttp_test_client_used(q.client, 0, OHTTP_MESSAGE_MAX - 4 + over);
        e = open_at(&q, false, buf_view(&q.response), 4096, 4096);
        assert_int_equal(e.code, over ? ERR_LIMIT : ERR_OK);
    }
}

static void seals_an_unchunked_message_in_one_call_only(void **state)
{
    (void)state;
    PAIR_AUTO p;
    begin(&p, OHTTP_PLAIN, 1);
    CHECK_ERR(ohttp_client_seal(p.client, BYTES_LIT("x"), false, &p.request), INTERNAL);
    CHECK(p.request.len == 0);
}

static void takes_given_nonces_of_the_right_length_only(void **state)
{
    (void)state;
    static const uint8_t nonce[OHTTP_NONCE_LEN_MAX + 1] = { 5 };
    PAIR_AUTO p;
    begin_short(&p, OHTTP_PLAIN);
    CHECK_OK(open_at(&p, true, buf_view(&p.request), 4096, 4096));
    CHECK_ERR(ohttp_test_give_nonce(p.server, (bytes){ 0 }), MALFORMED);
    CHECK_ERR(ohttp_test_give_nonce(p.server, BYTES_ARRAY(nonce)), MALFORMED);
    CHECK_OK(ohttp_test_give_nonce(p.server, bytes_of(nonce, 16)));
    answer_short(&p, OHTTP_PLAIN);
    CHECK_BYTES(bytes_slice(buf_view(&p.response), 0, 16), bytes_of(nonce, 16));

    PAIR_AUTO q;
    begin_short(&q, OHTTP_PLAIN);
    CHECK_OK(open_at(&q, true, buf_view(&q.request), 4096, 4096));
    CHECK_OK(ohttp_test_give_nonce(q.server, bytes_of(nonce, 12)));
    CHECK_ERR(ohttp_server_seal(q.server, BYTES_LIT("x"), true, &q.response), MALFORMED);
}

static err exchange(void *arg)
{
    (void)arg;
    struct ohttp_client *c = NULL;
    struct ohttp_server *s = NULL;
    BUF_AUTO body = BUF(4096);
    BUF_AUTO plain = BUF(4096);
    enum ohttp_step step;
    err e = ohttp_client_new(&c, OHTTP_CHUNKED, &config, 1, NULL);
    if (e.code == ERR_OK)
        e = ohttp_server_new(&s, OHTTP_CHUNKED, keys);
    if (e.code == ERR_OK)
        e = ohttp_client_seal(c, BYTES_LIT("hello"), true, &body);
    for (size_t i = 0; i < body.len && e.code == ERR_OK; i++)
        e = ohttp_server_open(s, bytes_of(body.at + i, 1), i + 1 == body.len, &plain, &step);
    buf_clear(&body);
    if (e.code == ERR_OK)
        e = ohttp_server_seal(s, BYTES_LIT("hello"), true, &body);
    if (e.code == ERR_OK)
        e = ohttp_client_open(c, buf_view(&body), true, &plain, &step);
    ohttp_client_free(c);
    ohttp_server_free(s);
    return e;
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    law_every_allocation_fails_once(exchange, NULL);
}

static int set_up(void **state)
{
    (void)state;
    const struct ohttp_key_settings settings = {
        .id = 7, .suites = { { 1, 1 }, { 1, 2 }, { 1, 3 } }, .suites_n = 3, .not_after = 100
    };
    struct hpke_private_key *key;
    CHECK_OK(crypto_init());
    CHECK_OK(hpke_key_generate(&key, KEM_X25519_HKDF_SHA256));
    CHECK_OK(ohttp_keys_new(&keys));
    CHECK_OK(ohttp_keys_add(keys, &settings, key));
    CHECK(ohttp_keys_find(keys, 7, &config));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ohttp_keys_free(keys);
    crypto_thread_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_messages_of_any_length_both_ways),
        cmocka_unit_test(streams_chunk_by_chunk),
        cmocka_unit_test(opens_the_same_at_every_split),
        cmocka_unit_test(refuses_any_flipped_bit),
        cmocka_unit_test(tells_every_cut_from_an_end),
        cmocka_unit_test(refuses_unknown_keys_before_anything_else),
        cmocka_unit_test(does_not_use_a_key_retired_in_between),
        cmocka_unit_test(does_not_open_one_variant_as_the_other),
        cmocka_unit_test(does_not_open_the_answer_to_another_request),
        cmocka_unit_test(encapsulates_only_to_what_is_offered),
        cmocka_unit_test(shares_names_and_secrets_of_the_exchange),
        cmocka_unit_test(draws_a_fresh_nonce_and_encapsulation_each_time),
        cmocka_unit_test(stops_when_the_caller_has_no_room),
        cmocka_unit_test(bounds_the_length_of_a_message),
        cmocka_unit_test(seals_an_unchunked_message_in_one_call_only),
        cmocka_unit_test(takes_given_nonces_of_the_right_length_only),
        cmocka_unit_test(survives_every_failing_allocation),
    };
    return cmocka_run_group_tests_name("wire/ohttp", tests, set_up, tear_down);
}
