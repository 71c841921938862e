/*
 * gateway/evidence.h - POST /v1/attestation/verify: somebody's evidence in, findings out.
 *
 * The body is a JSON object: `evidence` in base64, and if wanted `platform` ("auto", "tdx", "snp",
 * "nitro", "sealgate"), `user_data` in base64, `collateral` in base64 or a list of it, `max_age` in
 * seconds, and `at`, Unix seconds or text like "2026-02-01T14:49:26Z". Anything else is refused, so
 * that nothing asked for is passed over. The gateway's policy has no part in it: see
 * attest/appraise.h on what is found without one.
 */
#pragma once

#include "api/error.h"
#include "attest/appraise.h"

enum { EVIDENCE_BODY_MAX = 2 * 1024 * 1024, EVIDENCE_DEPTH_MAX = 3 };

/* Appends the findings to *out, which is empty, and is true. False: *error says what is wrong with
 * the body; its texts are static or in *out, which then holds nothing else. */
bool evidence_answer(bytes body, int64_t now, struct buf *out, struct api_error *error);
