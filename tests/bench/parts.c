/*
 * What the parts of one exchange cost, each alone in a loop, in CPU time: one JSON object of
 * microseconds. The store's are of its whole process, so with its thread and the kernel's part.
 *
 *     bench-parts [DATABASE]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/peek.h"
#include "base/clock.h"
#include "base/loop.h"
#include "base/mem.h"
#include "crypto/hpke.h"
#include "crypto/init.h"
#include "crypto/sign.h"
#include "receipts/check.h"
#include "receipts/store.h"
#include "receipts/transcript.h"
#include "wire/ohttp.h"

enum {
    SLICE_US = 60 * 1000, /* of one measurement; the least of SLICES counts */
    SLICES = 3,
    SMALL = 1024,
    EVENT = 230,
    BIG = 384 * 1024,
    BATCH = 64,
    RECORDS = 512
};

static struct ohttp_keys *keys;
static struct key_config config;
static struct hpke_private_key *hpke_key;
static struct signing_key *identity;
static struct buf receipt = BUF(AIR_RECEIPT_MAX);
static struct buf sealed = BUF(1 << 20);
static struct buf opened = BUF(1 << 20);
static uint8_t *text;
static struct ohttp_client *client, *big_client;
static struct ohttp_server *server, *big_server;

static void demand(err e)
{
    if (e.code == ERR_OK)
        return;
    (void)fprintf(stderr, "bench-parts: %s at %s:%d\n", err_word(e), err_origin()->file,
                  err_origin()->line);
    exit(1);
}

static void set_up(void)
{
    const struct ohttp_key_settings settings = { .id = 1, .suites = { { 1, 2 } }, .suites_n = 1 };
    struct hpke_private_key *other;
    demand(crypto_init());
    demand(hpke_key_generate(&hpke_key, 0x0020));
    demand(hpke_key_generate(&other, 0x0020));
    demand(ohttp_keys_new(&keys));
    demand(ohttp_keys_add(keys, &settings, other));
    (void)ohttp_keys_find(keys, 1, &config);
    demand(signing_key_generate(&identity));
    text = mem_alloc(BIG);
    if (text == NULL)
        exit(1);
    static const char head[] = "{\"model\":\"bench\",\"messages\":[{\"content\":\"";
    memset(text, 'x', BIG);
    memcpy(text, head, sizeof head - 1);
    memcpy(text + BIG - 4, "\"}]}", 4);
}

/* ---- the parts ---- */

static void encapsulate(void)
{
    struct ohttp_client *c;
    demand(ohttp_client_new(&c, OHTTP_CHUNKED, &config, 2, NULL));
    ohttp_client_free(c);
}

static void decapsulate(void)
{
    static uint8_t enc[HPKE_ENC_MAX];
    static size_t enc_len;
    static const struct hpke_suite suite = { 0x0020, 1, 2 };
    struct hpke *h;
    if (enc_len == 0) {
        demand(hpke_sender_new(&h, suite, hpke_key_public(hpke_key), (bytes){ 0 }, NULL, enc,
                               &enc_len));
        hpke_free(h);
    }
    demand(hpke_receiver_new(&h, suite, hpke_key, bytes_of(enc, enc_len), (bytes){ 0 }));
    hpke_free(h);
}

/* A whole exchange of SMALL bytes each way, both ends. */
static void exchange(void)
{
    enum ohttp_step step;
    struct ohttp_client *c;
    struct ohttp_server *s;
    demand(ohttp_client_new(&c, OHTTP_CHUNKED, &config, 2, NULL));
    demand(ohttp_server_new(&s, OHTTP_CHUNKED, keys));
    demand(ohttp_client_seal(c, bytes_of(text, SMALL), true, &sealed));
    demand(ohttp_server_open(s, buf_view(&sealed), true, &opened, &step));
    buf_truncate(&sealed, 0);
    buf_truncate(&opened, 0);
    demand(ohttp_server_seal(s, bytes_of(text, SMALL), true, &sealed));
    demand(ohttp_client_open(c, buf_view(&sealed), true, &opened, &step));
    buf_truncate(&sealed, 0);
    buf_truncate(&opened, 0);
    ohttp_client_free(c);
    ohttp_server_free(s);
}

static void open_stream(void)
{
    enum ohttp_step step;
    ohttp_client_free(client);
    ohttp_server_free(server);
    demand(ohttp_client_new(&client, OHTTP_CHUNKED, &config, 2, NULL));
    demand(ohttp_server_new(&server, OHTTP_CHUNKED, keys));
    demand(ohttp_client_seal(client, bytes_of(text, SMALL), true, &sealed));
    demand(ohttp_server_open(server, buf_view(&sealed), true, &opened, &step));
    buf_truncate(&sealed, 0);
    buf_truncate(&opened, 0);
}

/* One event of an answer, sealed and opened. */
static void stream_event(void)
{
    static unsigned n;
    enum ohttp_step step;
    if (n++ % 65536 == 0)
        open_stream();
    demand(ohttp_server_seal(server, bytes_of(text, EVENT), false, &sealed));
    demand(ohttp_client_open(client, buf_view(&sealed), false, &opened, &step));
    buf_truncate(&sealed, 0);
    buf_truncate(&opened, 0);
}

/* The content of a large request, sealed and opened in pieces as the link carries them; without the
 * encapsulation, which costs the same for every request. */
static void big_body(void)
{
    static unsigned n;
    enum ohttp_step step;
    if (n++ % 2048 == 0) {
        ohttp_client_free(big_client);
        ohttp_server_free(big_server);
        demand(ohttp_client_new(&big_client, OHTTP_CHUNKED, &config, 2, NULL));
        demand(ohttp_server_new(&big_server, OHTTP_CHUNKED, keys));
    }
    for (size_t at = 0; at < BIG; at += OHTTP_CHUNK_MAX) {
        bytes piece = bytes_of(text + at, OHTTP_CHUNK_MAX);
        demand(ohttp_client_seal(big_client, piece, false, &sealed));
        demand(ohttp_server_open(big_server, buf_view(&sealed), false, &opened, &step));
        sealed.len = 0;
        opened.len = 0;
    }
}

static void sha_small(void)
{
    uint8_t hash[SHA256_LEN];
    sha256_of(bytes_of(text, SMALL), hash);
}

static void sha_big(void)
{
    uint8_t hash[SHA256_LEN];
    sha256_of(bytes_of(text, BIG), hash);
}

static void sha_big_two(void)
{
    uint8_t hashes[2][SHA256_LEN];
    sha256_of_two(bytes_of(text, BIG), bytes_of(text, BIG), hashes[0], hashes[1]);
}

static void transcript_event(void)
{
    static struct transcript t;
    static bool begun;
    if (!begun)
        transcript_init(&t, true);
    begun = true;
    transcript_add(&t, bytes_of(text, EVENT - 2));
    transcript_add(&t, BYTES_LIT("\n\n"));
}

static void peek_big(void)
{
    struct peek p;
    peek_request(bytes_of(text, BIG), &p);
    if (p.verdict != PEEK_OK)
        exit(1);
}

static struct air_claims claims(void)
{
    static const uint8_t some[AIR_REGISTER_LEN] = { 1 };
    struct air_claims c = { .iss = BYTES_LIT("bench"),
                            .iat = 1700000000,
                            .model_id = BYTES_LIT("bench"),
                            .model_version = BYTES_LIT("1"),
                            .measurement_type = BYTES_LIT(AIR_TYPE_NITRO),
                            .policy_version = BYTES_LIT("bench"),
                            .sequence_number = 1,
                            .execution_time_ms = 1,
                            .memory_peak_mb = 1,
                            .security_mode = BYTES_LIT(AIR_MODE_PRODUCTION) };
    for (size_t i = AIR_PCR0; i <= AIR_PCR2; i++)
        c.registers[i] = BYTES_ARRAY(some);
    memset(c.model_hash, 1, sizeof c.model_hash);
    memset(c.request_hash, 1, sizeof c.request_hash);
    memset(c.response_hash, 1, sizeof c.response_hash);
    memset(c.attestation_doc_hash, 1, sizeof c.attestation_doc_hash);
    c.cti[0] = 1;
    c.cti[6] = 0x40;
    c.cti[8] = 0x80;
    return c;
}

static void issue(void)
{
    const struct air_claims c = claims();
    buf_truncate(&receipt, 0);
    demand(air_write(&receipt, &c, identity));
}

static void verify(void)
{
    static struct air_report report;
    const struct air_policy policy = { .now = 1700000000, .clock_skew_s = 300, .max_age_s = 300 };
    if (receipt.len == 0)
        issue();
    air_check(buf_view(&receipt), bytes_of(signing_key_public(identity), 32), &policy, &report);
    if (!report.verified) {
        (void)fprintf(stderr, "bench-parts: %s\n", air_report_word(&report));
        exit(1);
    }
}

/* ---- the store ---- */

static unsigned stored;
static struct loop *loop;

static void on_stored(struct loop_mail *mail)
{
    struct store_record *r = CONTAINER_OF(mail, struct store_record, mail);
    demand(r->result);
    store_record_free(r);
    stored++;
    loop_stop(loop);
}

static void put(struct store *store, unsigned number)
{
    struct store_record *r;
    demand(store_record_new(&r));
    r->mail.deliver = on_stored;
    r->loop = loop;
    (void)snprintf(r->receipt_id, sizeof r->receipt_id, "%032x", number);
    (void)snprintf(r->request_id, sizeof r->request_id, "req-%032x", number);
    (void)snprintf(r->completion_id, sizeof r->completion_id, "chatcmpl-%032x", number);
    demand(buf_add(&r->receipt, buf_view(&receipt)));
    store_put(store, r);
}

/* `batch` records at a time, each batch waited for. */
static double store_us(const char *path, unsigned batch, double *wall)
{
    static unsigned number;
    const struct store_settings settings = { .path = path };
    struct store *store;
    demand(store_open(&store, &settings));
    uint64_t began_wall = clock_steady_us();
    uint64_t began = clock_cpu_us();
    for (unsigned i = 0; i < RECORDS; i += batch) {
        stored = 0;
        for (unsigned k = 0; k < batch; k++)
            put(store, ++number);
        store_wake(store);
        while (stored < batch)
            loop_run(loop);
    }
    double us = (double)(clock_cpu_us() - began) / RECORDS;
    *wall = (double)(clock_steady_us() - began_wall) / RECORDS;
    store_close(store);
    return us;
}

/* ---- measuring ---- */

static double time_of(void (*part)(void))
{
    double least = 0;
    part();
    for (int i = 0; i < SLICES; i++) {
        uint64_t began = clock_cpu_us();
        uint64_t us = 0;
        uint64_t n = 0;
        for (; us < SLICE_US; us = clock_cpu_us() - began) {
            for (int k = 0; k < 16; k++)
                part();
            n += 16;
        }
        double each = (double)us / (double)n;
        if (i == 0 || each < least)
            least = each;
    }
    return least;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*part)(void);
    } parts[] = {
        { "encapsulate", encapsulate },
        { "decapsulate", decapsulate },
        { "seal_and_open_1k_both_ways", exchange },
        { "seal_and_open_event", stream_event },
        { "seal_and_open_384k", big_body },
        { "sha256_1k", sha_small },
        { "sha256_384k", sha_big },
        { "sha256_384k_two", sha_big_two },
        { "transcript_event", transcript_event },
        { "peek_384k", peek_big },
        { "receipt_issue", issue },
        { "receipt_verify", verify },
    };
    double wall = 0;
    set_up();
    (void)printf("{");
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        (void)printf("\"%s\":%.3f,", parts[i].name, time_of(parts[i].part));
    demand(loop_new(&loop));
    double alone = store_us(argc > 1 ? argv[1] : ":memory:", 1, &wall);
    (void)printf("\"store_alone\":%.3f,\"store_alone_wall\":%.3f,", alone, wall);
    double many = store_us(argc > 1 ? argv[1] : ":memory:", BATCH, &wall);
    (void)printf("\"store_batch_of_64\":%.3f,\"store_batch_of_64_wall\":%.3f}\n", many, wall);
    loop_free(loop);
    crypto_thread_end();
    return 0;
}
