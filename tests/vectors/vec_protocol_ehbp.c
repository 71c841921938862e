/* The examples of the EHBP door. */
#include "attest/statement.h"
#include "base/text.h"
#include "crypto/aead.h"
#include "crypto/sign.h"
#include "enclave-worker/answer.h"
#include "tests/vectors/vec_protocol.h"
#include "wire/ehbp_test.h"
#include "wire/keylist.h"
#include "wire/names.h"

enum { OUT_MAX = 65536 };

static err key_and_statement(struct block *b, struct buf *out)
{
    struct key_config config;
    struct statement back;
    struct signing_key *key = NULL;
    size_t n = 0;
    const struct statement s = { .worker = block_get(b, "worker"),
                                 .ehbp_key = block_get(b, "ehbp_key"),
                                 .key_list = block_get(b, "key_list"),
                                 .not_after = block_number(b, "not_after"),
                                 .generation = block_number(b, "generation"),
                                 .not_before = block_number(b, "not_before") };
    TRY(keylist_read(s.ehbp_key, KEYLIST_BARE, &config, 1, &n));
    ENSURE(config.id == 0 && config.suites_n == 1, MALFORMED);
    ENSURE(key_config_offers(&config, HPKE_KDF_HKDF_SHA256, AEAD_AES_256_GCM), MALFORMED);
    TRY(signing_key_from_seed(&key, block_get(b, "seed")));
    err e = statement_write(out, &s, key);
    if (e.code == ERR_OK)
        e = statement_verify(buf_view(out), bytes_of(signing_key_public(key), ED25519_PK_LEN),
                             &back);
    signing_key_free(key);
    TRY(e);
    block_same(b, back.ehbp_key, "ehbp_key");
    return OK;
}

void run_ehbp_key(struct block *b)
{
    BUF_AUTO out = BUF(OUT_MAX);
    block_good(b, key_and_statement(b, &out), "statement");
    block_same(b, buf_view(&out), "key_statement");
}

struct ends {
    struct hpke_private_key *key;
    struct ehbp_client *client;
    struct ehbp_server *server;
};

static err ask(struct block *b, struct ends *e)
{
    char field[EHBP_HEX_LEN + 1];
    const struct hpke_ephemeral given = { .sk = block_get(b, "ephemeral") };
    BUF_AUTO out = BUF(OUT_MAX);
    BUF_AUTO plain = BUF(OUT_MAX);
    TRY(hpke_key_load(&e->key, KEM_X25519_HKDF_SHA256, block_get(b, "key")));
    const struct key_config config = { .kem = KEM_X25519_HKDF_SHA256,
                                       .public_key = hpke_key_public(e->key),
                                       .suites = { { HPKE_KDF_HKDF_SHA256, AEAD_AES_256_GCM } },
                                       .suites_n = 1 };
    const struct hpke_private_key *const keys[] = { e->key };
    TRY(ehbp_client_new(&e->client, &config, &given));
    ehbp_client_key(e->client, field);
    block_same(b, bytes_str(field), FIELD_EHBP_KEY);
    for (size_t i = 0; i < 2; i++)
        TRY(ehbp_client_seal(e->client, block_value(b, "request", i, false), &out));
    block_same(b, buf_view(&out), "sealed_request");
    TRY(ehbp_server_new(&e->server, keys, 1, bytes_str(field), 0));
    return ehbp_server_open(e->server, buf_view(&out), true, &plain);
}

static err answer(struct block *b, struct ends *e)
{
    BUF_AUTO nonce = BUF(EHBP_NONCE_LEN);
    BUF_AUTO out = BUF(OUT_MAX);
    BUF_AUTO beside = BUF(OUT_MAX);
    BUF_AUTO field = BUF(OUT_MAX);
    BUF_AUTO back = BUF(OUT_MAX);
    TRY(text_hex_decode(&nonce, block_get(b, FIELD_EHBP_NONCE)));
    TRY(ehbp_server_answer(e->server, buf_view(&nonce)));
    for (size_t i = 0; i < 2; i++)
        TRY(ehbp_server_seal(e->server, block_value(b, "response", i, false), &out));
    block_same(b, buf_view(&out), "sealed_response");
    TRY(ehbp_server_seal_receipt(e->server, block_get(b, "receipt"), &beside));
    TRY(text_base64url_encode(&field, buf_view(&beside)));
    block_same(b, buf_view(&field), FIELD_SEALED_RECEIPT);
    TRY(ehbp_client_begin(e->client, block_get(b, FIELD_EHBP_NONCE)));
    TRY(ehbp_client_open_receipt(e->client, buf_view(&beside), &back));
    block_same(b, buf_view(&back), "receipt");
    buf_truncate(&back, 0);
    return ehbp_client_open(e->client, block_get(b, "sealed_response"), true, &back);
}

void run_ehbp_exchange(struct block *b)
{
    struct ends e = { 0 };
    err why = ask(b, &e);
    if (why.code == ERR_OK)
        why = answer(b, &e);
    block_good(b, why, "exchange");
    ehbp_client_free(e.client);
    ehbp_server_free(e.server);
    hpke_key_free(e.key);
}

static err stream(struct block *b, struct answer *a)
{
    const struct engine_field type = { BYTES_LIT(FIELD_CONTENT_TYPE), BYTES_LIT(MEDIA_SSE) };
    const struct answer_settings settings = { .bare = true, .padding = PADDING_SIZE };
    BUF_AUTO out = BUF(OUT_MAX);
    answer_init(a, &settings);
    TRY(answer_head(a, 200, &type, 1, -1));
    TRY(answer_body(a, block_get(b, "event")));
    TRY(answer_flush(a, &out));
    block_same(b, buf_view(&out), "first");
    TRY(answer_end(a));
    buf_truncate(&out, 0);
    TRY(answer_tail(a, block_get(b, "receipt"), &out));
    block_same(b, buf_view(&out), "tail");
    return OK;
}

void run_ehbp_stream(struct block *b)
{
    struct answer a = { 0 };
    block_good(b, stream(b, &a), "stream");
    answer_clear(&a);
}
