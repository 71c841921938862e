/*
 * vec_protocol PROTOCOL.md - runs the worked examples of the document on the code.
 *
 * An example is a fenced block ```vector KIND of lines NAME = VALUE. A value is a JSON text in
 * quotes, or hex, or a number; a line that begins with two spaces goes on with the hex before it.
 * tests/vectors/second/protocol.py makes the same blocks without this code.
 */
#include "tests/vectors/vec_protocol.h"

#include <stdio.h>
#include <string.h>

#include "attest/attester.h"
#include "attest/bundle.h"
#include "attest/claims.h"
#include "attest/policy_bundle.h"
#include "attest/simulated.h"
#include "attest/statement.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/hpke.h"
#include "crypto/init.h"
#include "crypto/sign.h"
#include "enclave-worker/answer.h"
#include "gateway/seal.h"
#include "receipts/air.h"
#include "receipts/transcript.h"
#include "wire/names.h"
#include "wire/ohttp.h"
#include "wire/ohttp_test.h"
#include "wire/padding.h"
#include "wire/roster.h"

enum { DOCUMENT_MAX = 1024 * 1024, LINES_MAX = 64, VALUE_MAX = 65536, OUT_MAX = 256 * 1024 };

struct line {
    bytes name; /* as it stands there */
    bytes value;
    struct buf raw; /* decoded when first asked for, then kept */
};

struct block {
    struct line lines[LINES_MAX];
    size_t n;
    bool broken; /* a comparison failed, or a line is missing */
};

static struct buf out = { .max = OUT_MAX };

/* ---- the document ---- */

static bytes take_line(bytes *text)
{
    bytes line = bytes_slice(*text, 0, text_find(*text, BYTES_LIT("\n")));
    *text = bytes_slice(*text, line.len + 1, text->len);
    return line;
}

static err decode_json(bytes quoted, struct buf *to)
{
    struct json *root = NULL;
    bytes text;
    BUF_AUTO array = BUF(VALUE_MAX);
    TRY(buf_add_u8(&array, '['));
    TRY(buf_add(&array, quoted));
    TRY(buf_add_u8(&array, ']'));
    TRY(json_read(&root, buf_view(&array), 2));
    err e = json_text(json_at(root, 0), &text) ? buf_add(to, text)
                                               : err_raise(ERR_MALFORMED, __FILE__, __func__, 0);
    json_free(root);
    return e;
}

void block_fail(struct block *b, const char *what, bytes name)
{
    b->broken = true;
    printf("  %s: %.*s\n", what, (int)name.len, (const char *)name.at);
}

/* Quoted text or hex becomes bytes; a number stays as it is written. */
static err decode(struct line *l, bool number)
{
    l->raw = BUF(VALUE_MAX);
    if (l->value.len > 0 && l->value.at[0] == '"')
        return decode_json(l->value, &l->raw);
    return number ? buf_add(&l->raw, l->value) : text_hex_decode(&l->raw, l->value);
}

/* The i-th line of that name. */
bytes block_value(struct block *b, const char *name, size_t i, bool number)
{
    for (size_t k = 0; k < b->n; k++) {
        struct line *l = &b->lines[k];
        if (!bytes_equal(l->name, bytes_str(name)) || i-- > 0)
            continue;
        if (l->raw.max == 0 && decode(l, number).code != ERR_OK)
            block_fail(b, "not a value", l->name);
        return buf_view(&l->raw);
    }
    block_fail(b, "missing", bytes_str(name));
    return (bytes){ 0 };
}

bytes block_get(struct block *b, const char *name)
{
    return block_value(b, name, 0, false);
}

uint64_t block_number(struct block *b, const char *name)
{
    uint64_t v = 0;
    if (!text_u64(block_value(b, name, 0, true), &v))
        block_fail(b, "not a number", bytes_str(name));
    return v;
}

void block_same(struct block *b, bytes have, const char *name)
{
    if (!bytes_equal(have, block_get(b, name)))
        block_fail(b, "differs", bytes_str(name));
}

void block_good(struct block *b, err e, const char *what)
{
    if (e.code != ERR_OK)
        block_fail(b, err_word(e), bytes_str(what));
}

void block_copy(struct block *b, void *to, size_t len, const char *name)
{
    bytes v = block_get(b, name);
    if (v.len == len)
        memcpy(to, v.at, len);
    else
        block_fail(b, "length", bytes_str(name));
}

static bytes fresh(void)
{
    buf_truncate(&out, 0);
    return buf_view(&out);
}

/* ---- attestation ---- */

static void run_claims(struct block *b)
{
    struct claims back;
    const struct claims c = { .model = block_get(b, "model"),
                              .worker = block_get(b, "worker"),
                              .software = block_get(b, "software"),
                              .operator_key = block_get(b, "operator_key"),
                              .model_version = block_get(b, "model_version"),
                              .manifest_digest = block_get(b, "manifest_digest") };
    (void)fresh();
    block_good(b, claims_write(&out, &c), "claims");
    block_same(b, buf_view(&out), "claims");
    block_good(b, claims_read(buf_view(&out), &back), "claims");
}

static void run_binding(struct block *b)
{
    uint8_t digest[BINDING_LEN];
    const struct binding given = { .platform = block_get(b, "platform"),
                                   .identity = block_get(b, "identity"),
                                   .nonce = block_get(b, "nonce"),
                                   .claims = block_get(b, "claims") };
    binding_digest(&given, digest);
    block_same(b, BYTES_ARRAY(digest), "report_data");
}

static void run_registers(struct block *b)
{
    static const char *const names[SIMULATED_PCRS] = { "pcr0", "pcr1", "pcr2" };
    struct simulated_registers r;
    simulated_measure(block_get(b, "image"), &r);
    for (size_t i = 0; i < SIMULATED_PCRS; i++)
        block_same(b, BYTES_ARRAY(r.pcr[i]), names[i]);
}

static void run_evidence(struct block *b)
{
    struct simulated_registers r;
    struct attester *a = NULL;
    BUF_AUTO none = BUF(16);
    bytes report_data = block_get(b, "report_data");
    const struct attester_ask ask = { .report_data = report_data.at,
                                      .now = (int64_t)block_number(b, "time") };
    simulated_measure(block_get(b, "image"), &r);
    block_good(b, simulated_attester_new(&a, &r), "evidence");
    if (a == NULL || report_data.len != BINDING_LEN)
        return;
    (void)fresh();
    block_good(b, a->kind->quote(a, &ask, &out, &none), "evidence");
    attester_free(a);
    block_same(b, buf_view(&out), "evidence");
}

static void run_key_list(struct block *b)
{
    char hint[KEY_CONFIG_HINT_LEN + 1];
    const struct key_config c = { .id = (uint8_t)block_number(b, "key_id"),
                                  .kem = KEM_X25519_HKDF_SHA256,
                                  .public_key = block_get(b, "public_key"),
                                  .suites = { { 1, 2 }, { 1, 1 }, { 1, 3 } },
                                  .suites_n = 3 };
    (void)fresh();
    block_good(b, keylist_write(&out, &c, 1, KEYLIST_BARE), "bare");
    block_same(b, buf_view(&out), "bare");
    (void)fresh();
    block_good(b, keylist_write(&out, &c, 1, KEYLIST_PREFIXED), "key_list");
    block_same(b, buf_view(&out), "key_list");
    block_good(b, key_config_hint(&c, hint), "x-ohttp-key");
    block_same(b, bytes_of(hint, KEY_CONFIG_HINT_LEN), "x-ohttp-key");
}

static void run_worker_tag(struct block *b)
{
    struct roster roster = { 0 };
    struct worker_tag tag;
    for (size_t i = 0; i < 2; i++) {
        block_good(b, worker_tag_of(block_value(b, "identity", i, false), &tag), "identity");
        if (!bytes_equal(block_value(b, "sealgate-worker", i, false), bytes_str(tag.text)))
            block_fail(b, "differs", BYTES_LIT("sealgate-worker"));
        roster_add(&roster, &tag);
    }
    (void)fresh();
    block_good(b, roster_write(&out, &roster), "workers");
    block_same(b, buf_view(&out), "workers");
    block_good(b, roster_read(buf_view(&out), &roster), "workers");
}

static void run_statement(struct block *b)
{
    struct signing_key *key = NULL;
    struct statement back;
    const struct statement s = { .worker = block_get(b, "worker"),
                                 .key_list = block_get(b, "key_list"),
                                 .not_after = block_number(b, "not_after"),
                                 .generation = block_number(b, "generation"),
                                 .not_before = block_number(b, "not_before") };
    block_good(b, signing_key_from_seed(&key, block_get(b, "seed")), "seed");
    if (key == NULL)
        return;
    (void)fresh();
    block_good(b, statement_write(&out, &s, key), "key_statement");
    block_same(b, buf_view(&out), "key_statement");
    bytes identity = bytes_of(signing_key_public(key), ED25519_PK_LEN);
    block_good(b, statement_verify(buf_view(&out), identity, &back), "key_statement");
    signing_key_free(key);
}

static void run_bundle(struct block *b)
{
    struct bundle parts;
    uint8_t digest[SHA256_LEN];
    (void)fresh();
    block_good(b, bundle_join(&out, block_get(b, "document"), block_get(b, "key_statement")),
               "bundle");
    block_same(b, buf_view(&out), "bundle");
    block_good(b, bundle_read(block_get(b, "bundle"), &parts), "bundle");
    block_same(b, parts.nonce, "nonce");
    block_good(b, evidence_document_digest(&parts, digest), "document_sha256");
    block_same(b, BYTES_ARRAY(digest), "document_sha256");
    sha256_of(block_get(b, "document"), digest);
    block_same(b, BYTES_ARRAY(digest), "document_sha256");
}

/* ---- the sealed hop ---- */

static void run_bucket(struct block *b)
{
    for (size_t i = 0; i < b->n; i++) {
        uint64_t len = 0, want = 0;
        if (!text_u64(b->lines[i].name, &len) || !text_u64(b->lines[i].value, &want) ||
            padding_bucket((size_t)len) != want)
            block_fail(b, "differs", b->lines[i].name);
    }
}

struct keyring {
    struct ohttp_keys *keys;
    struct key_config config;
};

static err open_keyring(struct keyring *r, bytes secret, uint8_t id)
{
    struct hpke_private_key *key = NULL;
    const struct ohttp_key_settings settings = {
        .id = id, .suites = { { 1, 2 } }, .suites_n = 1, .not_after = INT64_MAX
    };
    TRY(ohttp_keys_new(&r->keys));
    TRY(hpke_key_load(&key, KEM_X25519_HKDF_SHA256, secret));
    err e = ohttp_keys_add(r->keys, &settings, key);
    if (e.code != ERR_OK) {
        hpke_key_free(key);
        return e;
    }
    ENSURE(ohttp_keys_find(r->keys, id, &r->config), INTERNAL);
    return OK;
}

static err ignore_head(void *owner, const struct bhttp_head *head)
{
    (void)owner;
    (void)head;
    return OK;
}

static err ignore_bytes(void *owner, bytes piece)
{
    (void)owner;
    (void)piece;
    return OK;
}

static const struct seal_events NO_EVENTS = { ignore_head, ignore_bytes, ignore_bytes };

/* What the gateway seals, opened again. */
static err seal_and_open(struct block *b, const struct keyring *r)
{
    struct seal *seal = NULL;
    struct ohttp_server *server = NULL;
    enum ohttp_step step = OHTTP_MORE;
    bool done = false;
    bytes worker = block_get(b, "worker");
    struct trusted to = { .config = r->config };
    const struct bhttp_field fields[] = {
        { BYTES_LIT(FIELD_DATE), block_get(b, FIELD_DATE) },
        { BYTES_LIT(FIELD_REQUEST_ID), block_get(b, FIELD_REQUEST_ID) },
        { BYTES_LIT(FIELD_CONTENT_TYPE), block_get(b, FIELD_CONTENT_TYPE) },
    };
    const struct seal_request request = { .method = block_get(b, "method"),
                                          .path = block_get(b, "path"),
                                          .fields = fields,
                                          .fields_n = ARRAY_LEN(fields),
                                          .content = block_get(b, "content") };
    BUF_AUTO sealed = BUF(OUT_MAX);
    ENSURE(worker.len < sizeof to.name, LIMIT);
    memcpy(to.name, worker.at, worker.len);
    TRY(seal_new(&seal, &to, &request, &NO_EVENTS, NULL));
    err e = OK;
    while (!done && e.code == ERR_OK)
        e = seal_next(seal, OUT_MAX, &sealed, &done);
    seal_free(seal);
    TRY(e);
    TRY(ohttp_server_new(&server, OHTTP_CHUNKED, r->keys));
    e = ohttp_server_open(server, buf_view(&sealed), true, &out, &step);
    ohttp_server_free(server);
    return e;
}

static void without_zeros(struct block *b, const char *name)
{
    uint64_t zeros = block_number(b, "zeros");
    bytes all = buf_view(&out);
    for (uint64_t i = 0; i < zeros && all.len > 0; i++) {
        if (all.at[--all.len] != 0)
            block_fail(b, "not zero behind", bytes_str(name));
    }
    block_same(b, all, name);
}

static void run_inner_request(struct block *b)
{
    static const uint8_t secret[32] = { [0] = 1, [31] = 1 };
    struct keyring r = { 0 };
    (void)fresh();
    err e = open_keyring(&r, BYTES_ARRAY(secret), 9);
    if (e.code == ERR_OK)
        e = seal_and_open(b, &r);
    block_good(b, e, "plaintext");
    without_zeros(b, "plaintext");
    ohttp_keys_free(r.keys);
}

struct ends {
    struct keyring ring;
    struct ohttp_client *client;
    struct ohttp_server *server;
};

static err exchange(struct block *b, struct ends *e)
{
    enum ohttp_step step = OHTTP_MORE;
    BUF_AUTO plain = BUF(OUT_MAX);
    bytes ephemeral = block_get(b, "ephemeral");
    const struct hpke_ephemeral given = { .sk = ephemeral };
    TRY(open_keyring(&e->ring, block_get(b, "key"), (uint8_t)block_number(b, "key_id")));
    TRY(ohttp_client_new(&e->client, OHTTP_CHUNKED, &e->ring.config, AEAD_AES_256_GCM, &given));
    (void)fresh();
    TRY(ohttp_client_seal(e->client, block_get(b, "request"), false, &out));
    TRY(ohttp_client_seal(e->client, (bytes){ 0 }, true, &out));
    block_same(b, buf_view(&out), "sealed_request");
    TRY(ohttp_server_new(&e->server, OHTTP_CHUNKED, e->ring.keys));
    TRY(ohttp_server_open(e->server, buf_view(&out), true, &plain, &step));
    block_same(b, buf_view(&plain), "request");
    TRY(ohttp_test_give_nonce(e->server, block_get(b, "response_nonce")));
    (void)fresh();
    for (size_t i = 0; i < 2; i++)
        TRY(ohttp_server_seal(e->server, block_value(b, "response", i, false), false, &out));
    TRY(ohttp_server_seal(e->server, (bytes){ 0 }, true, &out));
    block_same(b, buf_view(&out), "sealed_response");
    buf_truncate(&plain, 0);
    return ohttp_client_open(e->client, block_get(b, "sealed_response"), true, &plain, &step);
}

static void run_sealed_exchange(struct block *b)
{
    struct ends e = { 0 };
    block_good(b, exchange(b, &e), "exchange");
    ohttp_client_free(e.client);
    ohttp_server_free(e.server);
    ohttp_keys_free(e.ring.keys);
}

/* ---- answers and receipts ---- */

static err stream(struct block *b, struct answer *a, const char *receipt_id)
{
    const struct engine_field type = { BYTES_LIT(FIELD_CONTENT_TYPE), BYTES_LIT(MEDIA_SSE) };
    const struct answer_settings settings = { .padding = PADDING_SIZE, .receipt_id = receipt_id };
    answer_init(a, &settings);
    TRY(answer_head(a, 200, &type, 1, -1));
    TRY(answer_body(a, block_get(b, "event")));
    (void)fresh();
    TRY(answer_flush(a, &out));
    block_same(b, buf_view(&out), "first");
    TRY(answer_end(a));
    (void)fresh();
    TRY(answer_tail(a, block_get(b, "receipt"), &out));
    without_zeros(b, "tail");
    return OK;
}

static void run_stream_answer(struct block *b)
{
    char id[AIR_ID_LEN + 1] = { 0 };
    struct answer a = { 0 };
    block_copy(b, id, AIR_ID_LEN, "receipt_id");
    block_good(b, stream(b, &a, id), "stream");
    answer_clear(&a);
}

/* Each line: a stream, and what of it is hashed. The hash must not depend on the split. */
static void run_transcript(struct block *b)
{
    for (size_t i = 0; i < b->n; i++) {
        uint8_t have[TRANSCRIPT_LEN], want[TRANSCRIPT_LEN], split[TRANSCRIPT_LEN];
        struct transcript t;
        BUF_AUTO whole = BUF(VALUE_MAX);
        BUF_AUTO kept = BUF(VALUE_MAX);
        block_good(b, decode_json(b->lines[i].name, &whole), "stream");
        block_good(b, decode_json(b->lines[i].value, &kept), "kept");
        transcript_of(buf_view(&whole), true, have);
        transcript_of(buf_view(&kept), false, want);
        transcript_init(&t, true);
        for (size_t k = 0; k < whole.len; k++)
            transcript_add(&t, bytes_of(whole.at + k, 1));
        transcript_end(&t, split);
        if (!bytes_equal(BYTES_ARRAY(have), BYTES_ARRAY(want)) ||
            !bytes_equal(BYTES_ARRAY(split), BYTES_ARRAY(want)))
            block_fail(b, "differs", b->lines[i].name);
    }
}

static void fill_claims(struct block *b, struct air_claims *c)
{
    *c = (struct air_claims){
        .iss = block_get(b, "iss"),
        .iat = block_number(b, "iat"),
        .model_id = block_get(b, "model_id"),
        .model_version = block_get(b, "model_version"),
        .measurement_type = BYTES_LIT(AIR_TYPE_NITRO),
        .policy_version = block_get(b, "policy_version"),
        .sequence_number = block_number(b, "sequence_number"),
        .execution_time_ms = block_number(b, "execution_time_ms"),
        .memory_peak_mb = block_number(b, "memory_peak_mb"),
        .security_mode = block_get(b, "security_mode"),
        .model_hash_scheme = block_get(b, "model_hash_scheme"),
    };
    c->nonce_len = 8;
    block_copy(b, c->nonce, c->nonce_len, "eat_nonce");
    block_copy(b, c->cti, sizeof c->cti, "cti");
    block_copy(b, c->model_hash, AIR_HASH_LEN, "model_hash");
    block_copy(b, c->request_hash, AIR_HASH_LEN, "request_hash");
    block_copy(b, c->response_hash, AIR_HASH_LEN, "response_hash");
    block_copy(b, c->attestation_doc_hash, AIR_HASH_LEN, "attestation_doc_hash");
}

static void run_receipt(struct block *b)
{
    struct signing_key *key = NULL;
    struct simulated_registers r;
    struct air_claims c;
    char id[AIR_ID_LEN + 1];
    simulated_measure(block_get(b, "image"), &r);
    fill_claims(b, &c);
    for (size_t i = 0; i < SIMULATED_PCRS; i++)
        c.registers[AIR_PCR0 + i] = BYTES_ARRAY(r.pcr[i]);
    block_good(b, signing_key_from_seed(&key, block_get(b, "seed")), "seed");
    if (key == NULL)
        return;
    (void)fresh();
    block_good(b, air_write(&out, &c, key), "receipt");
    signing_key_free(key);
    block_same(b, buf_view(&out), "receipt");
    air_id(&c, id);
    block_same(b, bytes_str(id), "receipt_id");
}

static void open_policy(struct block *b)
{
    const struct policy_keys nobody = { 0 };
    struct policy_opened o;
    const struct policy_ask ask = { .file = block_get(b, "bundle"),
                                    .name = "bundle",
                                    .keys = &nobody,
                                    .now = (int64_t)block_number(b, "created") };
    block_good(b, policy_open(&ask, &o), "bundle");
    if (o.outcome != POLICY_ACCEPTED || o.facts.version != block_number(b, "version"))
        block_fail(b, "not accepted", BYTES_LIT("bundle"));
    block_same(b, BYTES_ARRAY(o.facts.digest), "digest");
    policy_free(o.policy);
}

static void run_policy_bundle(struct block *b)
{
    struct signing_key *keys[2] = { NULL };
    BUF_AUTO once = BUF(POLICY_BUNDLE_MAX);
    const struct policy_bundle made = { .version = block_number(b, "version"),
                                        .created = (int64_t)block_number(b, "created"),
                                        .expires = (int64_t)block_number(b, "expires"),
                                        .policy = block_get(b, "policy") };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        block_good(b, signing_key_from_seed(&keys[i], block_value(b, "seed", i, false)), "seed");
    if (keys[0] != NULL && keys[1] != NULL) {
        (void)fresh();
        block_good(b, policy_bundle_write(&once, &made, keys[0]), "bundle");
        block_good(b, policy_bundle_sign(&out, buf_view(&once), keys[1]), "bundle");
        block_same(b, buf_view(&out), "bundle");
        open_policy(b);
    }
    signing_key_free(keys[0]);
    signing_key_free(keys[1]);
}

/* ---- all of them ---- */

static const struct kind {
    const char *name;
    void (*run)(struct block *b);
} KINDS[] = {
    { "claims", run_claims },
    { "binding", run_binding },
    { "simulated-registers", run_registers },
    { "simulated-evidence", run_evidence },
    { "key-list", run_key_list },
    { "worker-tag", run_worker_tag },
    { "key-statement", run_statement },
    { "bundle", run_bundle },
    { "bucket", run_bucket },
    { "inner-request", run_inner_request },
    { "sealed-exchange", run_sealed_exchange },
    { "stream-answer", run_stream_answer },
    { "transcript", run_transcript },
    { "receipt", run_receipt },
    { "policy-bundle", run_policy_bundle },
    { "snp-table", run_snp_table },
    { "azure-evidence", run_azure_evidence },
    { "tdx-collateral", run_tdx_collateral },
    { "gpu-evidence", run_gpu_evidence },
    { "collateral-entry", run_collateral_entry },
    { "sealed-secret", run_sealed_secret },
    { "ehbp-key", run_ehbp_key },
    { "ehbp-exchange", run_ehbp_exchange },
    { "ehbp-stream", run_ehbp_stream },
    { "pool-keys", run_pool_keys },
    { "pool-frames", run_pool_frames },
};

/* Goes on with the hex of the line before; it was joined by read_block(). */
static void add_line(struct block *b, bytes line)
{
    size_t at = text_find(line, BYTES_LIT(" = "));
    if (at == line.len || b->n == LINES_MAX)
        block_fail(b, "not a line", line);
    else
        b->lines[b->n++] = (struct line){ .name = bytes_slice(line, 0, at),
                                          .value = bytes_slice(line, at + 3, line.len) };
}

/* Lines up to the closing fence; a continued one is joined first, in *joined. */
static void read_block(struct block *b, bytes *text, struct buf *joined)
{
    size_t ends[LINES_MAX];
    size_t n = 0;
    for (bytes line; text->len > 0 && !bytes_starts(line = take_line(text), BYTES_LIT("```"));) {
        bool more = bytes_starts(line, BYTES_LIT("  "));
        if (!more && n < LINES_MAX)
            ends[n++] = joined->len;
        block_good(b, buf_add(joined, more ? bytes_slice(line, 2, line.len) : line), "line");
    }
    for (size_t i = 0; i < n; i++) {
        size_t end = i + 1 < n ? ends[i + 1] : joined->len;
        add_line(b, bytes_slice(buf_view(joined), ends[i], end - ends[i]));
    }
}

static bool run_block(const struct kind *kind, bytes *text)
{
    static struct block b;
    BUF_AUTO joined = BUF(DOCUMENT_MAX);
    b = (struct block){ 0 };
    read_block(&b, text, &joined);
    kind->run(&b);
    for (size_t i = 0; i < b.n; i++)
        buf_clear(&b.lines[i].raw);
    if (b.broken || b.n == 0)
        printf("FAIL %s: see above\n", kind->name);
    return !b.broken && b.n > 0;
}

static unsigned run_kind(const struct kind *kind, bytes text, unsigned *failed)
{
    BUF_AUTO fence = BUF(128);
    unsigned passed = 0;
    if (buf_addf(&fence, "```vector %s", kind->name).code != ERR_OK)
        return 0;
    while (text.len > 0) {
        if (!bytes_equal(take_line(&text), buf_view(&fence)))
            continue;
        if (run_block(kind, &text))
            passed++;
        else
            ++*failed;
    }
    return passed;
}

int main(int argc, char **argv)
{
    unsigned passed = 0, failed = 0;
    BUF_AUTO document = BUF(DOCUMENT_MAX);
    if (argc != 2 || crypto_init().code != ERR_OK || file_read(&document, argv[1]).code != ERR_OK) {
        puts("usage: vec_protocol PROTOCOL.md");
        return 2;
    }
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        unsigned before = passed + failed;
        passed += run_kind(&KINDS[i], buf_view(&document), &failed);
        if (passed + failed == before) {
            printf("FAIL %s: the document has no such example\n", KINDS[i].name);
            failed++;
        }
    }
    buf_clear(&out);
    crypto_thread_end();
    printf("%u passed, %u failed, 0 skipped\n", passed, failed);
    return failed > 0;
}
