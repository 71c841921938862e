/*
 * enclave-worker/tee.h - the attester that the setting `platform` asks for.
 *
 * `auto` takes the TEE that attest/detect.h finds, and refuses where there is none. The simulated one
 * is opened only when it is named; whatever is missing, nothing leads to it.
 */
#pragma once

#include "attest/attester.h"
#include "base/log.h"
#include "enclave-worker/thim.h"

/* The words of the setting; the first is `auto`, the rest are names as in bundles and policies. */
extern const char *const tee_words[];

/* The platform of an attester, for logs; "unknown" for any other text. */
struct word tee_log_word(const char *platform);

/*
 * word: one of tee_words. image: what the simulated platform stands for; else not looked at. thim: who
 * is asked for certificates on Azure, borrowed for the attester's life; NULL: nobody. On failure *message says what was looked at, what was found and what to do, in one or more lines
 * without a line feed at the end; ERR_CONFIG then, or ERR_NOMEM.
 */
err tee_open(struct attester **out, const char *word, const char *image, struct thim *thim,
             struct buf *message);
