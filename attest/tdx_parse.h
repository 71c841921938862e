/*
 * attest/tdx_parse.h - the layout of a TDX quote, version 4 and 5, and of a TDREPORT; nothing else.
 *
 * Little endian throughout. Source: Intel TDX DCAP Quote Generation Library and Quote Verification
 * Library, appendix on version 4 and 5 quotes. Every view borrows from the input; nothing here is
 * verified.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "attest/tdx_fault.h"
#include "base/bytes.h"
#include "base/err.h"

enum {
    TDX_QUOTE_MAX = 16 * 1024,
    TDX_QUOTE_V4 = 4,
    TDX_QUOTE_V5 = 5,
    TDX_BODY_TD10 = 2, /* the descriptor's type; version 4 has this one without saying so */
    TDX_BODY_TD15 = 3,
    TDX_REGISTER_LEN = 48,
    TDX_SVN_LEN = 16,
    TDX_REPORT_DATA_LEN = 64,
    TDX_REPORT_LEN = 1024 /* a TDREPORT */
};

/* Names are those of Intel's documents in lower case. */
#define TDX_FIELD_LIST(X)                                                                          \
    X(TEE_TCB_SVN, "tee_tcb_svn", 0, 16)                                                           \
    X(MRSEAM, "mrseam", 16, 48)                                                                    \
    X(MRSIGNERSEAM, "mrsignerseam", 64, 48)                                                        \
    X(SEAM_ATTRIBUTES, "seam_attributes", 112, 8)                                                  \
    X(TD_ATTRIBUTES, "td_attributes", 120, 8)                                                      \
    X(XFAM, "xfam", 128, 8)                                                                        \
    X(MRTD, "mrtd", 136, 48)                                                                       \
    X(MRCONFIGID, "mrconfigid", 184, 48)                                                           \
    X(MROWNER, "mrowner", 232, 48)                                                                 \
    X(MROWNERCONFIG, "mrownerconfig", 280, 48)                                                     \
    X(RTMR0, "rtmr0", 328, 48)                                                                     \
    X(RTMR1, "rtmr1", 376, 48)                                                                     \
    X(RTMR2, "rtmr2", 424, 48)                                                                     \
    X(RTMR3, "rtmr3", 472, 48)                                                                     \
    X(REPORT_DATA, "report_data", 520, 64)                                                         \
    X(TEE_TCB_SVN2, "tee_tcb_svn2", 584, 16) /* TD 1.5 only, as the next */                        \
    X(MRSERVICETD, "mrservicetd", 600, 48)

enum tdx_field {
#define X(name, word, at, len) TDX_##name,
    TDX_FIELD_LIST(X)
#undef X
        TDX_FIELDS
};

/* All borrowed. A view is empty when parsing did not come so far. */
struct tdx_quote {
    uint16_t version;
    uint16_t key_type;
    uint32_t tee_type;
    bytes vendor;    /* 16 */
    bytes user_data; /* 20 */
    uint16_t body_type;
    bytes body;          /* 584 or 648 */
    bytes signed_part;   /* header, descriptor and body */
    bytes signature;     /* 64: r || s */
    bytes key;           /* 64: x || y */
    bytes qe_report;     /* 384 */
    bytes qe_signature;  /* 64 */
    bytes qe_auth;       /* what the QE report covers besides the key */
    bytes pck_chain;     /* PEM */
    size_t trailing;     /* bytes behind the signature data, which nothing covers */
    bool trailing_zeros; /* they are all zero, or there are none */
};

/* Reads as far as it can and adds what is wrong with header, form and certification data. */
void tdx_quote_read(bytes in, struct tdx_quote *out, struct tdx_faults *faults);

/* A field of the body; empty when this body has none of that name. */
bytes tdx_quote_field(const struct tdx_quote *q, enum tdx_field field);
const char *tdx_field_name(enum tdx_field field);

/* TD_ATTRIBUTES as a number; 0 without a body. */
uint64_t tdx_quote_attributes(const struct tdx_quote *q);

/* The SGX report body that the quoting enclave has (QE report). All borrowed. */
struct tdx_qe_report {
    bytes miscselect; /* 4 */
    bytes attributes; /* 16 */
    bytes mrenclave;  /* 32 */
    bytes mrsigner;   /* 32 */
    uint16_t isvprodid;
    uint16_t isvsvn;
    bytes report_data; /* 64 */
};

/* False when it is not 384 bytes. */
bool tdx_qe_report_read(bytes report, struct tdx_qe_report *out);

/* A TDREPORT as the guest's kernel gives it. Protected by a MAC of its own machine only: no
 * evidence for anybody else. All borrowed. */
struct tdx_report {
    bytes report_data; /* 64 */
    bytes attributes;  /* 8 */
    bytes xfam;        /* 8 */
    bytes mrtd;
    bytes mrconfigid;
    bytes mrowner;
    bytes mrownerconfig;
    bytes rtmr[4];
};

/* ERR_MALFORMED: not 1024 bytes, or not of the type TDX. */
err tdx_report_read(bytes in, struct tdx_report *out);
