/*
 * attest/verify_test.h - for tests only: a verification with a verifier that is in no table.
 */
#pragma once

#include "attest/verifier.h"
#include "attest/verify.h"

/* Like attest_verify(), but `v` is asked whatever platform the bundle names. The binding still covers
 * the name of v's platform, and the policy still has to name the bundle's. */
err attest_verify_with(const struct verifier *v, bytes bundle,
                       const struct verify_settings *settings, struct verdict *out);
