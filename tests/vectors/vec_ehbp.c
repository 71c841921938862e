/*
 * Runs published EHBP exchanges: ehbp-cases-1, and the upstream project's own three forms.
 *
 * Valid bodies are sealed again, with the given randomness, to the same bytes, and opened whole, a
 * byte at a time and at every split. What must be refused has released exactly the frames that the
 * case names.
 */
#include <string.h>

#include "base/text.h"
#include "crypto/aead.h"
#include "crypto/init.h"
#include "crypto/secret.h"
#include "tests/vectors/vec.h"
#include "wire/ehbp_test.h"
#include "wire/keylist.h"

enum { BODY_MAX = 1 << 26, SPLITS_MAX = 700 };

struct setup {
    struct hpke_private_key *key;
    struct key_config config;
    struct hpke_ephemeral ephemeral;
    const char *key_field;
    const char *nonce_field;
};

static void setup_clear(struct setup *s)
{
    hpke_key_free(s->key);
}

#define SETUP_AUTO CLEANUP(setup_clear) struct setup

static void setup_read(struct vec *v, struct setup *s, const json_t *c)
{
    const json_t *asks = json_object_get(c, "request_headers");
    const json_t *answers = json_object_get(c, "response_headers");
    s->config = (struct key_config){ .kem = KEM_X25519_HKDF_SHA256,
                                     .public_key = vec_hex(v, c, "pkR"),
                                     .suites = { { HPKE_KDF_HKDF_SHA256, AEAD_AES_256_GCM } },
                                     .suites_n = 1 };
    s->ephemeral.sk = vec_hex(v, c, "skE");
    s->key_field = vec_text(asks, "Ehbp-Encapsulated-Key");
    s->nonce_field = vec_text(answers, "Ehbp-Response-Nonce");
    vec_ok(v, hpke_key_load(&s->key, KEM_X25519_HKDF_SHA256, vec_hex(v, c, "skR")), "skR");
}

/* ---- opening ---- */

/* Feeds body cut at `first` and then in steps; counts what came out. */
struct feeding {
    size_t first, step;
};

static err feed_request(struct ehbp_server *s, bytes body, struct feeding how, struct buf *plain)
{
    bytes head = bytes_slice(body, 0, how.first);
    bytes rest = bytes_slice(body, how.first, body.len);
    TRY(ehbp_server_open(s, head, false, plain));
    while (rest.len > how.step) {
        TRY(ehbp_server_open(s, bytes_slice(rest, 0, how.step), false, plain));
        rest = bytes_slice(rest, how.step, rest.len);
    }
    return ehbp_server_open(s, rest, true, plain);
}

static err feed_response(struct ehbp_client *c, bytes body, struct feeding how, struct buf *plain)
{
    bytes head = bytes_slice(body, 0, how.first);
    bytes rest = bytes_slice(body, how.first, body.len);
    TRY(ehbp_client_open(c, head, false, plain));
    while (rest.len > how.step) {
        TRY(ehbp_client_open(c, bytes_slice(rest, 0, how.step), false, plain));
        rest = bytes_slice(rest, how.step, rest.len);
    }
    return ehbp_client_open(c, rest, true, plain);
}

/* The key is the second of two. */
static err new_server(const struct setup *s, struct ehbp_server **out)
{
    struct hpke_private_key *other = NULL;
    TRY(hpke_key_generate(&other, KEM_X25519_HKDF_SHA256));
    const struct hpke_private_key *const keys[] = { other, s->key };
    err e = ehbp_server_new(out, keys, 2, bytes_str(s->key_field), 0);
    hpke_key_free(other);
    return e;
}

static err open_request(const struct setup *s, bytes body, struct feeding how, struct buf *plain)
{
    struct ehbp_server *server;
    TRY(new_server(s, &server));
    err e = feed_request(server, body, how, plain);
    ehbp_server_free(server);
    return e;
}

static err open_response(const struct setup *s, bytes body, struct feeding how, struct buf *plain)
{
    struct ehbp_client *client;
    TRY(ehbp_client_new(&client, &s->config, &s->ephemeral));
    err e = ehbp_client_begin(client, bytes_str(s->nonce_field));
    if (e.code == ERR_OK)
        e = feed_response(client, body, how, plain);
    ehbp_client_free(client);
    return e;
}

typedef err open_fn(const struct setup *s, bytes body, struct feeding how, struct buf *plain);

/* Whatever the split, the same comes out and the same is said. */
static void check_open(struct vec *v, const struct setup *s, open_fn *open, bytes body, bool good,
                       bytes want)
{
    for (size_t i = 0; i <= body.len && i < SPLITS_MAX; i++) {
        BUF_AUTO plain = BUF(BODY_MAX);
        const struct feeding how = { i, i == 0 ? 1 : body.len + 1 };
        err e = open(s, body, how, &plain);
        if ((e.code == ERR_OK) != good)
            vec_fail(v, "split at %zu: %s", i, err_text(e));
        vec_same(v, buf_view(&plain), want, "opened");
    }
}

/* ---- sealing ---- */

/* frames: an array of hex; "" is a frame of length 0, which we never send. */
static bool has_empty(const json_t *frames)
{
    size_t i;
    const json_t *f;
    json_array_foreach(frames, i, f)
    {
        if (json_string_length(f) == 0)
            return true;
    }
    return false;
}

static void plain_of(struct vec *v, const json_t *frames, size_t most, struct buf *plain)
{
    size_t i;
    const json_t *f;
    json_array_foreach(frames, i, f)
    {
        if (i < most)
            vec_ok(v, text_hex_decode(plain, bytes_str(json_string_value(f))), "frame");
    }
}

typedef err seal_fn(void *end, bytes plain, struct buf *out);

static err seal_request(void *end, bytes plain, struct buf *out)
{
    return ehbp_client_seal(end, plain, out);
}

static err seal_response(void *end, bytes plain, struct buf *out)
{
    return ehbp_server_seal(end, plain, out);
}

static void check_seal(struct vec *v, void *end, seal_fn *seal, const json_t *frames, bytes want)
{
    BUF_AUTO sealed = BUF(BODY_MAX);
    size_t i;
    const json_t *f;
    json_array_foreach(frames, i, f)
    {
        BUF_AUTO plain = BUF(BODY_MAX);
        vec_ok(v, text_hex_decode(&plain, bytes_str(json_string_value(f))), "frame");
        vec_ok(v, seal(end, buf_view(&plain), &sealed), "seal");
    }
    vec_same(v, buf_view(&sealed), want, "sealed");
}

static void check_request(struct vec *v, const struct setup *s, const json_t *c)
{
    const json_t *frames = json_object_get(c, "request_frame_plaintexts");
    bytes body = vec_hex(v, c, "request_body");
    BUF_AUTO plain = BUF(BODY_MAX);
    struct ehbp_client *client = NULL;
    char field[EHBP_HEX_LEN + 1];
    plain_of(v, frames, SIZE_MAX, &plain);
    check_open(v, s, open_request, body, true, buf_view(&plain));
    vec_ok(v, ehbp_client_new(&client, &s->config, &s->ephemeral), "client");
    if (client == NULL)
        return;
    ehbp_client_key(client, field);
    vec_same(v, bytes_str(field), bytes_str(s->key_field), "Ehbp-Encapsulated-Key");
    if (!has_empty(frames))
        check_seal(v, client, seal_request, frames, body);
    ehbp_client_free(client);
}

static void check_response(struct vec *v, const struct setup *s, const json_t *c)
{
    const json_t *frames = json_object_get(c, "response_frame_plaintexts");
    bytes body = vec_hex(v, c, "response_body");
    BUF_AUTO plain = BUF(BODY_MAX);
    BUF_AUTO asked = BUF(BODY_MAX);
    BUF_AUTO nonce = BUF(64);
    struct ehbp_server *server = NULL;
    plain_of(v, frames, SIZE_MAX, &plain);
    check_open(v, s, open_response, body, true, buf_view(&plain));
    vec_ok(v, new_server(s, &server), "server");
    if (server == NULL)
        return;
    vec_ok(v, ehbp_server_open(server, vec_hex(v, c, "request_body"), true, &asked), "request");
    vec_ok(v, text_hex_decode(&nonce, bytes_str(s->nonce_field)), "nonce");
    vec_ok(v, ehbp_server_answer(server, buf_view(&nonce)), "answer");
    if (!has_empty(frames))
        check_seal(v, server, seal_response, frames, body);
    ehbp_server_free(server);
}

static void check_keys(struct vec *v, const struct setup *s, const json_t *c)
{
    BUF_AUTO list = BUF(4096);
    vec_ok(v, keylist_write(&list, &s->config, 1, KEYLIST_BARE), "key configuration");
    vec_same(v, buf_view(&list), vec_hex(v, c, "hpke_keys_body"), "hpke_keys_body");
}

static void run_exchange(struct vec *v, const json_t *c)
{
    SETUP_AUTO s = { 0 };
    setup_read(v, &s, c);
    check_keys(v, &s, c);
    check_request(v, &s, c);
    check_response(v, &s, c);
}

/* ---- what must be refused ---- */

/* The plaintext of the first frames: found by opening them one at a time, whole. */
static size_t frames_in(bytes body, size_t upto)
{
    size_t at = 0;
    for (size_t n = 0; n < upto && at + 4 <= body.len;) {
        size_t len = (size_t)body.at[at] << 24 | (size_t)body.at[at + 1] << 16 |
                     (size_t)body.at[at + 2] << 8 | body.at[at + 3];
        at += 4 + len;
        n += len > 0;
    }
    return at <= body.len ? at : body.len;
}

static void run_refusal(struct vec *v, const json_t *c)
{
    SETUP_AUTO s = { 0 };
    BUF_AUTO released = BUF(BODY_MAX);
    bool request = vec_has(c, "request_body");
    open_fn *open = request ? open_request : open_response;
    const char *result = vec_text(c, "result");
    setup_read(v, &s, c);
    bytes body = vec_hex(v, c, request ? "request_body" : "response_body");
    size_t n = (size_t)vec_u64(v, c, "frames_released_before_error");
    bytes head = bytes_slice(body, 0, frames_in(body, n));
    if (n > 0)
        vec_ok(v, open(&s, head, (struct feeding){ 0, body.len + 1 }, &released), "first frames");
    if (strcmp(result, "invalid") == 0) {
        check_open(v, &s, open, body, false, buf_view(&released));
    } else if (strcmp(result, "undetectable") == 0) {
        check_open(v, &s, open, body, true, buf_view(&released));
    } else if (strcmp(result, "acceptable") == 0) {
        BUF_AUTO plain = BUF(BODY_MAX);
        /* Both are allowed; the frames are the same. */
        (void)open(&s, body, (struct feeding){ 0, body.len + 1 }, &plain);
        vec_same(v, buf_view(&plain), buf_view(&released), "released");
    } else {
        vec_fail(v, "unknown result \"%s\"", result);
    }
}

static void run_cases(struct vec *v, const json_t *root)
{
    size_t i;
    const json_t *c;
    json_array_foreach(json_object_get(root, "cases"), i, c)
    {
        vec_begin(v, "%s", vec_text(c, "name"));
        if (vec_has(c, "result"))
            run_refusal(v, c);
        else
            run_exchange(v, c);
        vec_end(v);
    }
}

/* ---- the upstream project's own ---- */

static void run_upstream(struct vec *v, const json_t *root)
{
    struct chunk_cipher cipher = { 0 };
    BUF_AUTO plain = BUF(BODY_MAX);
    vec_begin(v, "upstream: %s", vec_has(root, "derivedKey") ? "derive" : "response");
    bytes enc = vec_hex(v, root, "requestEnc");
    vec_ok(v,
           ehbp_response_cipher(vec_hex(v, root, "exportedSecret"), enc,
                                vec_hex(v, root, "responseNonce"), false, &cipher),
           "keys");
    if (vec_has(root, "derivedNonceBase"))
        vec_same(v, BYTES_ARRAY(cipher.base_nonce), vec_hex(v, root, "derivedNonceBase"), "base");
    if (vec_has(root, "encryptedResponse")) {
        bytes body = vec_hex(v, root, "encryptedResponse");
        uint8_t *room;
        bytes sealed = bytes_slice(body, 4, body.len);
        vec_ok(v, buf_reserve(&plain, sealed.len, &room), "room");
        vec_ok(v, chunk_cipher_open(&cipher, (bytes){ 0 }, sealed, room), "open");
        buf_commit(&plain, sealed.len - AEAD_TAG_LEN);
        vec_same(v, buf_view(&plain), vec_hex(v, root, "plaintext"), "plaintext");
    }
    chunk_cipher_clear(&cipher);
    vec_end(v);
}

static bool run_file(struct vec *v, const json_t *root)
{
    if (strcmp(vec_text(root, "format"), "ehbp-cases-1") == 0) {
        run_cases(v, root);
    } else if (vec_has(root, "exportedSecret") && vec_has(root, "responseNonce")) {
        run_upstream(v, root);
    } else if (vec_has(root, "exportedSecret")) {
        vec_begin(v, "upstream: session recovery token");
        vec_skip(v, "tokens are not offered: no answer of ours is opened by another process");
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    if (crypto_init().code != ERR_OK)
        return 1;
    return vec_main(argc, argv, run_file);
}
