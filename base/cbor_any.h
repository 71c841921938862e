/*
 * base/cbor_any.h - CBOR maps and arrays of either length form, for documents that others encode.
 *
 * The only thing allowed beyond base/cbor.h is a map or an array of indefinite length (RFC 8949
 * section 3.2.2), as enclave hardware writes them. Heads are in their shortest form all the same,
 * strings are whole, and what a run holds is read by base/cbor.h or by another run. The order and
 * uniqueness of keys are the caller's to check.
 *
 *     struct cbor_run run;
 *     TRY(cbor_any_map(&in, &run));
 *     while (cbor_any_more(&in, &run)) { TRY(cbor_take_text(&in, &key)); ... }
 *     TRY(cbor_any_end(&run));
 */
#pragma once

#include "base/cbor.h"

/* The items of one map (pairs) or array that are still to come. */
struct cbor_run {
    uint64_t left;
    bool open; /* of indefinite length */
    bool done;
};

/* The head of a map or array. ERR_MALFORMED: another item. ERR_TRUNCATED: more items than the input
 * can hold. *in moves only on success. */
err cbor_any_map(bytes *in, struct cbor_run *out);
err cbor_any_array(bytes *in, struct cbor_run *out);

/* Is another item to come? Takes the break at the end of an indefinite length. False as well when
 * the input has run out, which cbor_any_end() then reports. */
bool cbor_any_more(bytes *in, struct cbor_run *run);

/* ERR_TRUNCATED unless the run came to its own end. */
err cbor_any_end(const struct cbor_run *run);
