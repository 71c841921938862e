/* The examples of pools in PROTOCOL.md. */
#include "crypto/kem.h"
#include "enclave-worker/pool_keys.h"
#include "tests/vectors/vec_protocol.h"
#include "wire/pool_frame.h"

static void same_number(struct block *b, uint64_t have, const char *name)
{
    if (block_number(b, name) != have)
        block_fail(b, "differs", bytes_str(name));
}

static void run_epoch(struct block *b, const struct pool_chain *chain, const struct pool_key *key,
                      const char *const names[3])
{
    struct pool_epoch epoch;
    uint8_t sk[KEM_SK_MAX];
    uint8_t pk[KEM_PK_MAX];
    const struct kem *kem = kem_find(KEM_X25519_HKDF_SHA256);
    pool_epoch_of(chain, key, &epoch);
    same_number(b, epoch.id, names[0]);
    block_same(b, BYTES_ARRAY(epoch.tag), names[1]);
    block_good(b, kem_derive(kem, BYTES_ARRAY(epoch.ikm), sk, pk), names[2]);
    block_same(b, bytes_of(pk, kem->pk_len), names[2]);
}

void run_pool_keys(struct block *b)
{
    static const char *const present[] = { "key_id", "tag", "public_key" };
    static const char *const next[] = { "next_key_id", "next_tag", "next_public_key" };
    struct pool_key key;
    uint8_t psk[POOL_KEY_LEN];
    struct pool_chain chain = { .epoch = block_number(b, "epoch"),
                                .first_id = (uint8_t)block_number(b, "first_id") };
    block_copy(b, key.bytes, sizeof key.bytes, "pool_key");
    block_copy(b, chain.link, sizeof chain.link, "link");
    pool_key_psk(&key, psk);
    block_same(b, BYTES_ARRAY(psk), "psk");
    run_epoch(b, &chain, &key, present);
    pool_chain_step(&chain);
    block_same(b, BYTES_ARRAY(chain.link), "next_link");
    run_epoch(b, &chain, &key, next);
}

void run_pool_frames(struct block *b)
{
    struct pool_welcome w = { .key_life_s = (uint32_t)block_number(b, "key_life"),
                              .key_grace_s = (uint32_t)block_number(b, "key_grace"),
                              .date_window_s = (uint32_t)block_number(b, "date_window"),
                              .now = (int64_t)block_number(b, "now"),
                              .epoch = block_number(b, "epoch"),
                              .first_id = (uint8_t)block_number(b, "first_id") };
    struct pool_ask ask = { .number = block_number(b, "number"),
                            .date = (int64_t)block_number(b, "date") };
    const struct pool_answer answer = { .number = ask.number,
                                        .verdict = (enum pool_verdict)block_number(b, "verdict") };
    BUF_AUTO out = BUF(256);
    block_copy(b, w.link, sizeof w.link, "link");
    block_copy(b, ask.tag, sizeof ask.tag, "tag");
    block_copy(b, ask.digest, sizeof ask.digest, "digest");
    block_good(b, pool_welcome_write(&out, &w), "welcome");
    block_same(b, buf_view(&out), "welcome");
    buf_truncate(&out, 0);
    block_good(b, pool_ask_write(&out, &ask), "question");
    block_same(b, buf_view(&out), "question");
    buf_truncate(&out, 0);
    block_good(b, pool_answer_write(&out, &answer), "answer");
    block_same(b, buf_view(&out), "answer");
}
