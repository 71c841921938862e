/*
 * tests/unit/attest/scene.h - one worker's attestation, made whole, for tests to spoil in one
 * place.
 */
#pragma once

#include "attest/attester.h"
#include "attest/claims.h"
#include "attest/simulated.h"
#include "attest/statement.h"
#include "attest/verify.h"
#include "crypto/sign.h"
#include "tests/lib/law.h"

#define SCENE_NOW 1750000000
#define SCENE_IMAGE "test image"

/* What the parts are made from; change it between scene_open() and scene_make(). */
struct scene {
    struct signing_key *identity;
    struct signing_key *statement_signer; /* NULL: the identity */
    struct attester *attester;
    struct simulated_registers registers;
    struct claims claims;
    struct statement statement;
    uint8_t nonce[32];
    uint8_t key_list_bytes[45];
    uint8_t operator_key[32];
    uint8_t manifest_digest[32];
    int64_t quoted_at;

    struct policy *policy;
    struct verify_settings settings;

    /* Made by scene_make(). */
    struct buf encoded_claims;
    struct buf document;
    struct buf key_statement;
    struct buf bundle;
};

void scene_open(struct scene *s);
void scene_close(struct scene *s);

/* Replaces the policy by this text, in which %0, %1, %2 stand for the registers in hex. */
void scene_policy(struct scene *s, const char *yaml);

void scene_make(struct scene *s);
err scene_try_make(struct scene *s);

/* Puts another policy, document or statement together with the rest. */
void scene_join(struct scene *s, bytes document, bytes statement);

/* Verifies the bundle and fails the test when the outcome differs. */
void scene_accepts(struct scene *s);
void scene_refuses(struct scene *s, enum verdict_check_id check, const char *reason);

/* The verdict is a refusal by that check, all later ones are skipped, and nothing is handed out. */
void scene_check_refusal(const struct verdict *v, enum verdict_check_id check, const char *reason);

int scene_init_crypto(void **state);
