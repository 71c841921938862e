/*
 * crypto/setup.h - the parts of crypto_init() and crypto_thread_end(). For this folder only.
 */
#pragma once

#include "base/err.h"

err aead_setup(void);
void hpke_setup(void);
void sha256_pair_setup(void);

void aead_thread_end(void);
void kem_thread_end(void);
