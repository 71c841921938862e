/*
 * tests/vectors/vec_protocol.h - a worked example of PROTOCOL.md, as vec_protocol.c has read it, and
 * the examples that are run in a file of their own.
 */
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct block;

/* The i-th line of that name; number: as it stands there, else decoded from hex or a JSON text. One
 * that is missing fails the block. */
bytes block_value(struct block *b, const char *name, size_t i, bool number);
bytes block_get(struct block *b, const char *name); /* the first */
uint64_t block_number(struct block *b, const char *name);

/* All of these fail the block, and go on. */
void block_fail(struct block *b, const char *what, bytes name);
void block_same(struct block *b, bytes have, const char *name); /* unless equal to that line */
void block_good(struct block *b, err e, const char *what);      /* unless ok */
void block_copy(struct block *b, void *to, size_t len, const char *name); /* unless so long */

/* vec_protocol_pool.c */
void run_pool_keys(struct block *b);
void run_pool_frames(struct block *b);

/* vec_protocol_vendor.c: containers of vendors' evidence, and sealed secrets */
void run_snp_table(struct block *b);
void run_azure_evidence(struct block *b);
void run_tdx_collateral(struct block *b);
void run_gpu_evidence(struct block *b);
void run_collateral_entry(struct block *b);
void run_sealed_secret(struct block *b);

/* vec_protocol_ehbp.c */
void run_ehbp_key(struct block *b);
void run_ehbp_exchange(struct block *b);
void run_ehbp_stream(struct block *b);
