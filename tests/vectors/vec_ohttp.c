/*
 * Runs the published exchanges, ohttp-exchange-cases-1 and ohttp-keys-cases-1.
 *
 * Valid messages are sealed again, with the given randomness, to exactly the same bytes, and opened
 * whole, a byte at a time, at every split, and cut at every place. What must be refused is fed in the
 * same ways and must have released exactly the chunks that the case names.
 */
#include <string.h>

#include "base/text.h"
#include "crypto/hpke.h"
#include "crypto/init.h"
#include "tests/vectors/vec.h"
#include "wire/ohttp.h"
#include "wire/ohttp_test.h"
#include "wire/varint.h"

/* Messages above this are not fed at every split and cut, only in a few ways. */
enum { BODY_MAX = 1 << 26, THOROUGH_MAX = 500, CHUNKS_MAX = 4096 };

/* One case: both ends' keys, and the two messages with their plaintexts. */
struct setup {
    struct vec *v;
    enum ohttp_variant variant;
    uint16_t aead;
    struct key_config config;
    struct hpke_ephemeral ephemeral;
    bool ephemeral_given;
    struct ohttp_keys *keys;
};

static void setup_clear(struct setup *s)
{
    ohttp_keys_free(s->keys);
}

#define SETUP_AUTO CLEANUP(setup_clear) struct setup

/* The server offers exactly the case's suite, whatever else its configuration lists. */
static void setup_keys(struct vec *v, struct setup *s, const json_t *c)
{
    struct hpke_private_key *key = NULL;
    struct ohttp_key_settings settings = { .id = s->config.id,
                                           .suites = { { HPKE_KDF_HKDF_SHA256, s->aead } },
                                           .suites_n = 1 };
    if (!vec_has(c, "skR"))
        return;
    vec_ok(v, hpke_key_load(&key, s->config.kem, vec_hex(v, c, "skR")), "skR");
    vec_ok(v, ohttp_keys_new(&s->keys), "keys");
    if (key != NULL && s->keys != NULL)
        vec_ok(v, ohttp_keys_add(s->keys, &settings, key), "adding the key");
}

static void setup_read(struct vec *v, struct setup *s, const json_t *c, uint16_t kem, bool chunked)
{
    s->v = v;
    s->variant = chunked ? OHTTP_CHUNKED : OHTTP_PLAIN;
    s->aead = (uint16_t)vec_u64(v, c, "aead_id");
    s->config.id = (uint8_t)vec_u64(v, c, "key_id");
    s->config.kem = kem;
    s->config.suites_n = 1;
    s->config.suites[0] = (struct key_suite){ HPKE_KDF_HKDF_SHA256, s->aead };
    if (vec_has(c, "pkR"))
        s->config.public_key = vec_hex(v, c, "pkR");
    s->ephemeral_given = vec_has(c, "skE");
    if (s->ephemeral_given)
        s->ephemeral.sk = vec_hex(v, c, "skE");
    setup_keys(v, s, c);
}

static size_t lead_len(const struct setup *s, bool request)
{
    size_t key_len = aead_key_len((enum aead_id)s->aead);
    if (request)
        return OHTTP_HEADER_LEN + kem_find(s->config.kem)->enc_len;
    return key_len > AEAD_NONCE_LEN ? key_len : AEAD_NONCE_LEN;
}

/* The form of a message, found without opening it. */
struct shape {
    size_t chunks; /* whole ones before the final one */
    bool complete; /* the final one is marked, and at least a tag */
};

/* Takes one length and what it counts; false when they are not all there. */
static bool shape_step(bytes *body, struct buf *minimal, bool *final)
{
    struct varint_reader r = { 0 };
    uint64_t len;
    size_t size;
    bytes chunk;
    if (!varint_take(&r, body, &len, &size) || !bytes_take(body, len, &chunk))
        return false;
    *final = len == 0;
    return err_is_ok(varint_write(minimal, len)) && err_is_ok(buf_add(minimal, chunk));
}

/* Also writes the message with every length in its shortest form. */
static struct shape shape_of(bytes body, size_t lead, enum ohttp_variant variant,
                             struct buf *minimal)
{
    struct shape s = { 0 };
    bytes head;
    bool final = variant == OHTTP_PLAIN;
    if (!bytes_take(&body, lead, &head) || !err_is_ok(buf_add(minimal, head)))
        return s;
    while (!final) {
        if (!shape_step(&body, minimal, &final))
            return s;
        s.chunks += !final;
    }
    s.complete = body.len >= AEAD_TAG_LEN && err_is_ok(buf_add(minimal, body));
    return s;
}

/* What came of feeding one message. */
struct outcome {
    err e;
    bool done;
    size_t releases; /* calls that gave plaintext */
    struct buf plain;
};

static void outcome_clear(struct outcome *o)
{
    buf_clear(&o->plain);
}

#define OUTCOME_AUTO CLEANUP(outcome_clear) struct outcome

/* One end, ready to open. */
struct end {
    struct ohttp_client *client;
    struct ohttp_server *server;
};

static err end_open(struct end *d, const struct setup *s, bool request)
{
    if (request)
        return ohttp_server_new(&d->server, s->variant, s->keys);
    return ohttp_client_new(&d->client, s->variant, &s->config, s->aead,
                            s->ephemeral_given ? &s->ephemeral : NULL);
}

static void end_close(struct end *d)
{
    ohttp_client_free(d->client);
    ohttp_server_free(d->server);
}

static void end_put(struct end *d, bytes piece, bool last, struct outcome *o)
{
    enum ohttp_step step = OHTTP_MORE;
    size_t before = o->plain.len;
    o->e = d->server != NULL ? ohttp_server_open(d->server, piece, last, &o->plain, &step)
                             : ohttp_client_open(d->client, piece, last, &o->plain, &step);
    o->done = step == OHTTP_DONE;
    o->releases += o->plain.len > before;
}

/* In pieces of `step`, the first of `first` bytes (0: as the others). */
static void feed(const struct setup *s, bool request, bytes body, size_t first, size_t step,
                 struct outcome *o)
{
    struct end d = { 0 };
    *o = (struct outcome){ .plain = BUF(BODY_MAX) };
    o->e = end_open(&d, s, request);
    size_t n = first > 0 ? first : step;
    for (bool last = false; o->e.code == ERR_OK && !last; n = step) {
        bytes piece;
        (void)bytes_take(&body, n < body.len ? n : body.len, &piece);
        last = body.len == 0;
        end_put(&d, piece, last, o);
        if (o->done && !last)
            vec_fail(s->v, "done before the end");
    }
    if (o->done != (o->e.code == ERR_OK))
        vec_fail(s->v, "neither done nor refused");
    end_close(&d);
}

/* However it is cut, the same comes out. */
static void check_splits(struct vec *v, const struct setup *s, bool request, bytes body,
                         const struct outcome *want)
{
    size_t by = body.len <= THOROUGH_MAX ? 1 : body.len / 7 + 1;
    for (size_t first = 1; first < body.len; first += by) {
        OUTCOME_AUTO o;
        feed(s, request, body, first, body.len, &o);
        if (o.e.code != want->e.code)
            vec_fail(v, "%s when cut at %zu, %s else", err_word(o.e), first, err_word(want->e));
        vec_same(v, buf_view(&o.plain), buf_view(&want->plain), "plaintext of a cut message");
    }
}

static bool is_refusal(err e)
{
    return e.code == ERR_CRYPTO || e.code == ERR_MALFORMED || e.code == ERR_TRUNCATED ||
           e.code == ERR_NOT_FOUND;
}

/* A message without a whole final chunk is reported as truncated, unless something in front of that
 * was refused already; and nothing else is. */
static void check_truncation(struct vec *v, const struct setup *s, bool request, bytes body,
                             const struct outcome *o)
{
    BUF_AUTO minimal = BUF(BODY_MAX);
    struct shape shape = shape_of(body, lead_len(s, request), s->variant, &minimal);
    if (!is_refusal(o->e))
        vec_fail(v, "%s instead of a refusal", err_word(o->e));
    if (o->e.code == ERR_TRUNCATED && shape.complete)
        vec_fail(v, "a complete message was called truncated");
    if (o->e.code != ERR_TRUNCATED && !shape.complete && o->releases == shape.chunks &&
        o->releases > 0)
        vec_fail(v, "%s for a truncated message", err_word(o->e));
}

static void check_cuts(struct vec *v, const struct setup *s, bool request, bytes body)
{
    for (size_t len = 0; body.len <= THOROUGH_MAX && len < body.len; len++) {
        bytes part = bytes_slice(body, 0, len);
        OUTCOME_AUTO o;
        feed(s, request, part, 0, body.len, &o);
        if (o.e.code == ERR_OK)
            vec_fail(v, "accepted when only %zu bytes came", len);
        BUF_AUTO minimal = BUF(BODY_MAX);
        if (!shape_of(part, lead_len(s, request), s->variant, &minimal).complete &&
            o.e.code != ERR_TRUNCATED)
            vec_fail(v, "%s when only %zu bytes came", err_word(o.e), len);
    }
}

/* The plaintexts of a message, one for each chunk; an unchunked one has one. */
struct plaintexts {
    bytes parts[CHUNKS_MAX];
    size_t n;
    struct buf held;
};

static void plaintexts_clear(struct plaintexts *p)
{
    buf_clear(&p->held);
}

static void add_part(struct vec *v, struct plaintexts *p, const char *hex, struct buf *scratch)
{
    buf_truncate(scratch, 0);
    if (p->n == CHUNKS_MAX || hex == NULL) {
        vec_fail(v, "too many chunks, or one that is no text");
        return;
    }
    vec_ok(v, text_hex_decode(scratch, bytes_str(hex)), "plaintext");
    p->parts[p->n++].len = scratch->len;
    vec_ok(v, buf_add(&p->held, buf_view(scratch)), "plaintext");
}

/* Chunks are texts, or objects with a plaintext; an unchunked message is a text. */
static void plaintexts_read(struct vec *v, struct plaintexts *p, const json_t *c,
                            const char *const names[3])
{
    BUF_AUTO scratch = BUF(BODY_MAX);
    p->held = BUF(BODY_MAX);
    const json_t *list = json_object_get(c, names[0]);
    if (list == NULL)
        list = json_object_get(c, names[1]);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        const char *hex = json_string_value(one);
        add_part(v, p, hex ? hex : json_string_value(json_object_get(one, "plaintext")), &scratch);
    }
    if (list == NULL)
        add_part(v, p, json_string_value(json_object_get(c, names[2])), &scratch);
    size_t at = 0;
    for (size_t i = 0; i < p->n; at += p->parts[i++].len)
        p->parts[i] = bytes_slice(buf_view(&p->held), at, p->parts[i].len);
}

static void check_opening(struct vec *v, const struct setup *s, bool request, bytes body,
                          const struct plaintexts *p)
{
    OUTCOME_AUTO whole;
    OUTCOME_AUTO slow;
    feed(s, request, body, 0, body.len + 1, &whole);
    feed(s, request, body, 0, 1, &slow);
    vec_ok(v, whole.e, "opening");
    vec_ok(v, slow.e, "opening a byte at a time");
    vec_same(v, buf_view(&whole.plain), buf_view(&p->held), "plaintext");
    vec_same(v, buf_view(&slow.plain), buf_view(&p->held), "plaintext a byte at a time");
    size_t speaking = 0;
    for (size_t i = 0; i < p->n; i++)
        speaking += p->parts[i].len > 0;
    if (slow.releases != speaking)
        vec_fail(v, "%zu chunks were shown, not %zu", slow.releases, speaking);
    check_splits(v, s, request, body, &whole);
    check_cuts(v, s, request, body);
}

/* Both ends produce the very bytes; only lengths of the vector may be longer than needed. */
static void check_sealed(struct vec *v, const struct setup *s, bool request, bytes body,
                         const struct buf *sealed)
{
    BUF_AUTO minimal = BUF(BODY_MAX);
    (void)shape_of(body, lead_len(s, request), s->variant, &minimal);
    vec_same(v, buf_view(sealed), buf_view(&minimal), request ? "the request" : "the response");
}

static void seal_request(struct vec *v, const struct setup *s, const json_t *c, struct end *d,
                         const struct plaintexts *p)
{
    BUF_AUTO sealed = BUF(BODY_MAX);
    vec_ok(v, end_open(d, s, false), "encapsulating");
    if (d->client == NULL)
        return;
    vec_same(v, ohttp_client_enc(d->client), vec_hex(v, c, "enc"), "enc");
    for (size_t i = 0; i < p->n; i++)
        vec_ok(v, ohttp_client_seal(d->client, p->parts[i], i + 1 == p->n, &sealed), "sealing");
    check_sealed(v, s, true, vec_hex(v, c, "encapsulated_request"), &sealed);
}

static void check_export(struct vec *v, const struct setup *s, const json_t *c, const struct end *d)
{
    uint8_t secret[OHTTP_NONCE_LEN_MAX];
    const char *label =
        s->variant == OHTTP_CHUNKED ? "message/bhttp chunked response" : "message/bhttp response";
    size_t n = lead_len(s, false);
    vec_ok(v, ohttp_client_export(d->client, bytes_str(label), secret, n), "exporting");
    vec_same(v, bytes_of(secret, n), vec_hex(v, c, "exported_secret"), "exported_secret");
    vec_ok(v, ohttp_server_export(d->server, bytes_str(label), secret, n), "exporting");
    vec_same(v, bytes_of(secret, n), vec_hex(v, c, "exported_secret"), "exported_secret");
}

static void seal_response(struct vec *v, const struct setup *s, const json_t *c, struct end *d,
                          const struct plaintexts *p)
{
    BUF_AUTO sealed = BUF(BODY_MAX);
    struct outcome o = { .plain = BUF(BODY_MAX) };
    vec_ok(v, ohttp_server_new(&d->server, s->variant, s->keys), "server");
    if (d->server == NULL || d->client == NULL)
        return;
    end_put(d, vec_hex(v, c, "encapsulated_request"), true, &o);
    outcome_clear(&o);
    vec_ok(v, o.e, "opening the request");
    vec_ok(v, ohttp_test_give_nonce(d->server, vec_hex(v, c, "response_nonce")), "response_nonce");
    for (size_t i = 0; i < p->n; i++)
        vec_ok(v, ohttp_server_seal(d->server, p->parts[i], i + 1 == p->n, &sealed), "answering");
    check_sealed(v, s, false, vec_hex(v, c, "encapsulated_response"), &sealed);
    check_export(v, s, c, d);
}

static void check_config(struct vec *v, const struct setup *s, const json_t *c)
{
    struct key_config read = { 0 };
    size_t n = 0;
    vec_ok(v, keylist_read(vec_hex(v, c, "key_config"), KEYLIST_BARE, &read, 1, &n), "key_config");
    vec_same(v, read.public_key, s->config.public_key, "the public key");
    if (read.id != s->config.id || !key_config_offers(&read, HPKE_KDF_HKDF_SHA256, s->aead))
        vec_fail(v, "the configuration is not the case's");
}

static void run_valid(struct vec *v, const struct setup *s, const json_t *c)
{
    static const char *const request_names[] = { "request_chunk_plaintexts", "request_chunks",
                                                 "request" };
    static const char *const response_names[] = { "response_chunk_plaintexts", "response_chunks",
                                                  "response" };
    static struct plaintexts request;
    static struct plaintexts response;
    struct end d = { 0 };
    request.n = 0;
    response.n = 0;
    plaintexts_read(v, &request, c, request_names);
    plaintexts_read(v, &response, c, response_names);
    check_config(v, s, c);
    seal_request(v, s, c, &d, &request);
    seal_response(v, s, c, &d, &response);
    check_opening(v, s, true, vec_hex(v, c, "encapsulated_request"), &request);
    check_opening(v, s, false, vec_hex(v, c, "encapsulated_response"), &response);
    end_close(&d);
    plaintexts_clear(&request);
    plaintexts_clear(&response);
}

static void run_invalid(struct vec *v, const struct setup *s, const json_t *c, bool must)
{
    bool request = vec_has(c, "encapsulated_request");
    bytes body = vec_hex(v, c, request ? "encapsulated_request" : "encapsulated_response");
    OUTCOME_AUTO whole;
    OUTCOME_AUTO slow;
    feed(s, request, body, 0, body.len + 1, &whole);
    feed(s, request, body, 0, 1, &slow);
    check_splits(v, s, request, body, &whole);
    if (whole.e.code != slow.e.code)
        vec_fail(v, "%s whole, %s in bytes", err_word(whole.e), err_word(slow.e));
    vec_same(v, buf_view(&whole.plain), buf_view(&slow.plain), "what was released in bytes");
    if (whole.e.code == ERR_OK && !must)
        return;
    check_truncation(v, s, request, body, &slow);
    if (slow.releases != vec_u64(v, c, "chunks_released_before_error"))
        vec_fail(v, "%zu chunks were released", slow.releases);
}

static void run_exchange(struct vec *v, const json_t *c, uint64_t kem)
{
    SETUP_AUTO s = { 0 };
    const char *result = vec_text(c, "result");
    vec_begin(v, "%s", vec_text(c, "name"));
    setup_read(v, &s, c, (uint16_t)kem, strcmp(vec_text(c, "variant"), "chunked") == 0);
    if (strcmp(result, "valid") == 0)
        run_valid(v, &s, c);
    else if (strcmp(result, "invalid") == 0 || strcmp(result, "acceptable") == 0)
        run_invalid(v, &s, c, result[0] == 'i');
    else
        vec_fail(v, "unknown result %s", result);
    vec_end(v);
}

static void run_published(struct vec *v, const json_t *c)
{
    SETUP_AUTO s = { 0 };
    vec_begin(v, "%s", vec_text(c, "source"));
    setup_read(v, &s, c, (uint16_t)vec_u64(v, c, "kem_id"), vec_has(c, "request_chunks"));
    run_valid(v, &s, c);
    vec_end(v);
}

static void check_key_config(struct vec *v, const struct key_config *got, const json_t *want)
{
    const json_t *suites = json_object_get(want, "symmetric");
    if (got->id != vec_u64(v, want, "key_id") || got->kem != vec_u64(v, want, "kem_id"))
        vec_fail(v, "id or KEM differ");
    vec_same(v, got->public_key, vec_hex(v, want, "public_key"), "the public key");
    if (got->suites_n != json_array_size(suites))
        vec_fail(v, "%zu suites", got->suites_n);
    for (size_t i = 0; i < got->suites_n; i++) {
        const json_t *pair = json_array_get(suites, i);
        if (got->suites[i].kdf != json_integer_value(json_array_get(pair, 0)) ||
            got->suites[i].aead != json_integer_value(json_array_get(pair, 1)))
            vec_fail(v, "suite %zu differs", i);
    }
}

static void run_keylist(struct vec *v, const json_t *c)
{
    struct key_config got[KEYLIST_CONFIGS_MAX];
    size_t n = 0;
    const json_t *configs = json_object_get(c, "configs");
    vec_begin(v, "%s", vec_text(c, "name"));
    bytes in = vec_hex(v, c, "hex");
    err e = keylist_read(in, KEYLIST_PREFIXED, got, KEYLIST_CONFIGS_MAX, &n);
    if (strcmp(vec_text(c, "result"), "invalid") == 0) {
        if (e.code != ERR_MALFORMED || n != 0)
            vec_fail(v, "%s instead of a refusal", err_word(e));
    } else {
        vec_ok(v, e, "reading");
        if (n != json_array_size(configs))
            vec_fail(v, "%zu configurations", n);
        for (size_t i = 0; i < n; i++)
            check_key_config(v, &got[i], json_array_get(configs, i));
    }
    vec_end(v);
}

static bool run_file(struct vec *v, const json_t *root)
{
    const char *format = vec_text(root, "format");
    const json_t *cases = json_object_get(root, "cases");
    bool exchanges = strcmp(format, "ohttp-exchange-cases-1") == 0;
    bool keys = strcmp(format, "ohttp-keys-cases-1") == 0;
    bool published = vec_has(root, "source") && vec_has(root, "encapsulated_response");
    uint64_t kem = exchanges ? vec_u64(v, root, "kem_id") : 0;
    for (size_t i = 0; i < json_array_size(cases) && exchanges; i++)
        run_exchange(v, json_array_get(cases, i), kem);
    for (size_t i = 0; i < json_array_size(cases) && keys; i++)
        run_keylist(v, json_array_get(cases, i));
    if (published)
        run_published(v, root);
    return exchanges || keys || published;
}

int main(int argc, char **argv)
{
    return err_is_ok(crypto_init()) ? vec_main(argc, argv, run_file) : 1;
}
