/*
 * crypto/hpke_test.h - what the published vectors want to see inside HPKE. For tests only.
 */
#pragma once

#include "crypto/hpke.h"

enum { HPKE_CONTEXT_LEN = 1 + 2 * SHA256_LEN };

/* Everything that the key schedule of RFC 9180 section 5.1 computes. Unused lengths are 0. */
struct hpke_schedule {
    uint8_t context[HPKE_CONTEXT_LEN];
    uint8_t secret[SHA256_LEN];
    uint8_t key[AEAD_KEY_MAX];
    size_t key_len;
    uint8_t base_nonce[AEAD_NONCE_LEN];
    size_t nonce_len;
    uint8_t exporter_secret[SHA256_LEN];
};

/* The very function that hpke_sender_new() and hpke_receiver_new() use. */
err hpke_schedule_make(struct hpke_suite suite, bytes shared_secret, bytes info,
                       struct hpke_schedule *out);

uint64_t hpke_seq(const struct hpke *h);
void hpke_set_seq(struct hpke *h, uint64_t seq);

/* The nonce of the present sequence number. */
void hpke_nonce(const struct hpke *h, uint8_t out[static AEAD_NONCE_LEN]);
