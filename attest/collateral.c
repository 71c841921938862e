/* What does not depend on the platform: the table of kinds, addresses, forms, entries. */
#include "attest/collateral.h"

#include "attest/azure_hcl_verify.h"
#include "attest/collateral_parts.h"
#include "attest/map.h"
#include "attest/nvgpu_nras.h"
#include "attest/snp_table.h"
#include "attest/tdx.h"
#include "attest/tdx_tcb.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/crl.h"

enum {
    HALF_DAY_S = 12 * 3600,
    MONTH_S = 30 * 24 * 3600,
    ENVELOPE_MAX = 1024, /* around a signed document */
    HEX = 2              /* characters of a byte */
};

static const struct {
    const char *word;
    enum collateral_service service;
    const char *header;
    size_t body_max;
    bool list;  /* a CRL: DER, or hex from some caches */
    bool lasts; /* says nothing about revocation or levels: no need to look again every day */
    bool fleeting;
    collateral_check_fn *check;
} kinds[COLLATERAL_KINDS] = {
    [COLLATERAL_TCB_INFO] = { .word = "tdx-tcb-info",
                              .header = "TCB-Info-Issuer-Chain",
                              .body_max = TDX_TCB_INFO_MAX + ENVELOPE_MAX,
                              .check = collateral_check_tcb_info },
    [COLLATERAL_QE_IDENTITY] = { .word = "tdx-qe-identity",
                                 .header = "SGX-Enclave-Identity-Issuer-Chain",
                                 .body_max = TDX_QE_IDENTITY_MAX + ENVELOPE_MAX,
                                 .check = collateral_check_qe_identity },
    [COLLATERAL_PCK_CRL] = { .word = "tdx-pck-crl",
                             .body_max = HEX * TDX_PCK_CRL_MAX,
                             .list = true,
                             .check = collateral_check_pck_crl },
    [COLLATERAL_ROOT_CRL] = { .word = "tdx-root-crl",
                              .body_max = HEX * TDX_ROOT_CRL_MAX,
                              .list = true,
                              .check = collateral_check_root_crl },
    [COLLATERAL_SNP_CHAIN] = { .word = "snp-chain",
                               .service = COLLATERAL_AMD,
                               .body_max = COLLATERAL_CHAIN_MAX,
                               .check = collateral_check_snp_chain },
    [COLLATERAL_SNP_CRL] = { .word = "snp-crl",
                             .service = COLLATERAL_AMD,
                             .body_max = SNP_TABLE_MAX / 2,
                             .list = true,
                             .check = collateral_check_snp_crl },
    [COLLATERAL_SNP_VCEK] = { .word = "snp-vcek",
                              .service = COLLATERAL_AMD,
                              .body_max = SNP_CERT_MAX,
                              .lasts = true,
                              .check = collateral_check_snp_vcek },
    [COLLATERAL_NVGPU_OCSP] = { .word = "nvgpu-ocsp",
                                .service = COLLATERAL_NVIDIA_OCSP,
                                .body_max = COLLATERAL_OCSP_MAX,
                                .check = collateral_check_nvgpu_ocsp },
    [COLLATERAL_NVGPU_RIM] = { .word = "nvgpu-rim",
                               .service = COLLATERAL_NVIDIA_RIM,
                               .body_max = COLLATERAL_RIM_MAX,
                               .lasts = true,
                               .check = collateral_check_nvgpu_rim },
    [COLLATERAL_NVGPU_JWKS] = { .word = "nvgpu-jwks",
                                .service = COLLATERAL_NVIDIA_NRAS,
                                .body_max = JWKS_MAX,
                                .fleeting = true,
                                .check = collateral_check_nvgpu_jwks },
    [COLLATERAL_NVGPU_NRAS] = { .word = "nvgpu-nras",
                                .service = COLLATERAL_NVIDIA_NRAS,
                                .body_max = NRAS_ANSWER_MAX,
                                .fleeting = true,
                                .check = collateral_check_nvgpu_nras },
};

static bool is_kind(enum collateral_kind kind)
{
    return kind > COLLATERAL_NONE && kind < COLLATERAL_KINDS;
}

const char *collateral_kind_word(enum collateral_kind kind)
{
    return is_kind(kind) ? kinds[kind].word : "none";
}

enum collateral_service collateral_service_of(enum collateral_kind kind)
{
    return is_kind(kind) ? kinds[kind].service : COLLATERAL_INTEL;
}

size_t collateral_body_max(enum collateral_kind kind)
{
    return is_kind(kind) ? kinds[kind].body_max : 0;
}

const char *collateral_header(enum collateral_kind kind)
{
    return is_kind(kind) ? kinds[kind].header : NULL;
}

/* ---- what is needed ---- */

bool collateral_is_fault(err e)
{
    return !err_is_ok(e) && e.code != ERR_NOMEM && e.code != ERR_INTERNAL;
}

static err copy_text(char *to, size_t most, const struct buf *from)
{
    ENSURE(from->len > 0 && from->len <= most, INTERNAL);
    memcpy(to, from->at, from->len);
    to[from->len] = '\0';
    return OK;
}

err collateral_want(struct collateral_plan *plan, enum collateral_kind kind, int issuer,
                    const struct buf *key, const struct buf *path)
{
    ENSURE(issuer < (int)plan->n, INTERNAL);
    ENSURE(plan->n < COLLATERAL_NEEDS_MAX, LIMIT);
    if (plan->needs == NULL)
        plan->needs = mem_alloc_array(COLLATERAL_NEEDS_MAX, sizeof *plan->needs);
    ENSURE(plan->needs != NULL, NOMEM);
    struct collateral_need *need = &plan->needs[plan->n];
    need->kind = kind;
    need->issuer = issuer;
    need->asked_at = need->asked_len = 0;
    TRY(copy_text(need->key, COLLATERAL_KEY_MAX, key));
    TRY(copy_text(need->path, COLLATERAL_PATH_MAX, path));
    plan->n++;
    return OK;
}

static bool is_platform(const struct bundle *b, const char *name)
{
    return bytes_equal(b->platform, bytes_str(name));
}

static err plan_all(struct collateral_plan *out, const struct bundle *b,
                    const struct policy *policy, int64_t now)
{
    if (is_platform(b, TDX_PLATFORM))
        TRY(collateral_plan_tdx(out, b, now));
    else if (is_platform(b, SNP_PLATFORM) || is_platform(b, AZURE_PLATFORM))
        TRY(collateral_plan_snp(out, b, now));
    out->cpu_n = out->n;
    err e = collateral_plan_nvgpu(out, b, policy, now);
    if (collateral_is_fault(e))
        out->n = out->cpu_n;
    return collateral_is_fault(e) ? OK : e;
}

err collateral_plan_make(struct collateral_plan *out, const struct bundle *b,
                         const struct policy *policy, int64_t now)
{
    *out = (struct collateral_plan){ .issuer = BUF(COLLATERAL_CHAIN_MAX),
                                     .asked = BUF(COLLATERAL_ASKED_MAX) };
    err e = plan_all(out, b, policy, now);
    if (err_is_ok(e))
        return OK;
    collateral_plan_clear(out);
    return collateral_is_fault(e) ? OK : e;
}

void collateral_plan_clear(struct collateral_plan *plan)
{
    mem_free(plan->needs);
    buf_clear(&plan->issuer);
    buf_clear(&plan->asked);
    *plan = (struct collateral_plan){ 0 };
}

bytes collateral_plan_issuer(const struct collateral_plan *plan, size_t need)
{
    return plan->needs[need].kind == COLLATERAL_NVGPU_OCSP ? collateral_plan_asked(plan, need)
                                                           : buf_view(&plan->issuer);
}

bytes collateral_plan_asked(const struct collateral_plan *plan, size_t need)
{
    const struct collateral_need *n = &plan->needs[need];
    return bytes_slice(buf_view(&plan->asked), n->asked_at, n->asked_len);
}

/* ---- from a service ---- */

static bytes without(bytes text, bytes suffix)
{
    return bytes_ends(text, suffix) ? bytes_slice(text, 0, text.len - suffix.len) : text;
}

static bytes trim_base(bytes base)
{
    while (bytes_ends(base, BYTES_LIT("/")))
        base.len--;
    base = without(base, BYTES_LIT("/sgx/certification/v4"));
    while (bytes_ends(base, BYTES_LIT("/")))
        base.len--;
    return base;
}

/* Intel itself has the root's list on another host; its caches have it beside the rest. */
static const char root_crl_of_intel[] =
    "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der";

err collateral_url(struct buf *out, bytes base, const struct collateral_need *need)
{
    base = trim_base(base);
    if (need->kind == COLLATERAL_ROOT_CRL && bytes_equal(base, BYTES_LIT(COLLATERAL_INTEL_BASE)))
        return buf_add_str(out, root_crl_of_intel);
    TRY(buf_add(out, base));
    return buf_add_str(out, need->path);
}

err collateral_request(struct buf *out, const struct collateral_need *need, bytes asked,
                       const char **media)
{
    *media = NULL;
    if (need->kind == COLLATERAL_NVGPU_NRAS) {
        *media = "application/json";
        return buf_add(out, asked);
    }
    if (need->kind != COLLATERAL_NVGPU_OCSP)
        return OK;
    *media = "application/ocsp-request";
    return collateral_request_nvgpu_ocsp(out, asked);
}

bool collateral_is_fleeting(enum collateral_kind kind)
{
    return is_kind(kind) && kinds[kind].fleeting;
}

static bytes trim_lines(bytes text)
{
    static const char blank[] = " \t\r\n\"";
    while (text.len > 0 && strchr(blank, text.at[0]) != NULL && text.at[0] != 0)
        text = bytes_slice(text, 1, text.len);
    while (text.len > 0 && text.at[text.len - 1] != 0 &&
           strchr(blank, text.at[text.len - 1]) != NULL)
        text.len--;
    return text;
}

enum { DER_SEQUENCE = 0x30, DER_LONG = 0x80 };

/* A list in DER is longer than 127 bytes, so its second byte is no hex digit. */
static bool is_der(bytes in)
{
    return in.len > 1 && in.at[0] == DER_SEQUENCE && (in.at[1] & DER_LONG) != 0;
}

static err take_list(bytes body, struct buf *out)
{
    if (pem_is_crl(body))
        return pem_read_crl(out, body);
    return is_der(body) ? buf_add(out, body) : text_hex_decode(out, trim_lines(body));
}

/* In hex a list begins with the two digits of its first byte. */
err collateral_list_as_der(struct buf *part)
{
    bytes text = buf_view(part);
    BUF_AUTO der = BUF(part->max);
    if (!pem_is_crl(text) && !bytes_starts(trim_lines(text), BYTES_LIT("30")))
        return OK;
    err e = take_list(text, &der);
    if (collateral_is_fault(e) || (err_is_ok(e) && !is_der(buf_view(&der))))
        return OK;
    TRY(e);
    struct buf old = *part;
    *part = der;
    der = old;
    return OK;
}

static err take_certificate(bytes body, struct buf *out)
{
    struct pem_certs certs;
    if (!pem_is_text(body))
        return buf_add(out, body);
    err e = pem_read_certs(&certs, body);
    if (err_is_ok(e) && certs.n != 1)
        e = err_raise(ERR_MALFORMED, __FILE__, __func__, __LINE__);
    if (err_is_ok(e))
        e = buf_add(out, certs.certs[0]);
    pem_clear(&certs);
    return e;
}

/* RFC 3986 section 2.1. A plus stays one: it is a digit of base64. */
static err percent_decode(struct buf *out, bytes in)
{
    while (in.len > 0) {
        if (in.at[0] != '%') {
            TRY(buf_add_u8(out, in.at[0]));
            in = bytes_slice(in, 1, in.len);
            continue;
        }
        ENSURE(in.len >= 1 + HEX, MALFORMED);
        TRY(text_hex_decode(out, bytes_slice(in, 1, HEX)));
        in = bytes_slice(in, 1 + HEX, in.len);
    }
    return OK;
}

err collateral_take(enum collateral_kind kind, bytes body, bytes header, struct buf *body_out,
                    struct buf *chain_out)
{
    ENSURE(is_kind(kind), UNSUPPORTED);
    ENSURE(body.len > 0, MALFORMED);
    ENSURE(body.len <= kinds[kind].body_max && header.len <= COLLATERAL_HEADER_MAX, LIMIT);
    if (kinds[kind].header != NULL) {
        TRY(percent_decode(chain_out, header));
        ENSURE(pem_is_text(buf_view(chain_out)), MALFORMED);
    }
    if (kinds[kind].list)
        return take_list(body, body_out);
    if (kind == COLLATERAL_NVGPU_RIM)
        return collateral_take_nvgpu_rim(body, body_out);
    return kind == COLLATERAL_SNP_VCEK ? take_certificate(body, body_out) : buf_add(body_out, body);
}

err collateral_check(const struct collateral_need *need, const struct collateral_piece *piece,
                     bytes issuer, int64_t now, int64_t *expires)
{
    ENSURE(is_kind(need->kind), UNSUPPORTED);
    ENSURE(piece->body.len <= kinds[need->kind].body_max, LIMIT);
    *expires = INT64_MAX;
    TRY(kinds[need->kind].check(need, piece, issuer, now, expires));
    ENSURE(now <= *expires, STALE);
    return OK;
}

int64_t collateral_refresh_at(enum collateral_kind kind, int64_t fetched_at, int64_t expires)
{
    int64_t ahead = kinds[kind].lasts ? MONTH_S : HALF_DAY_S;
    int64_t before_end = expires - ahead;
    if (kinds[kind].lasts)
        return before_end > fetched_at ? before_end : fetched_at + (expires - fetched_at) / 2;
    int64_t due = fetched_at + HALF_DAY_S;
    return due < before_end ? due : fetched_at + (expires - fetched_at) / 2;
}

/* ---- for all platforms ---- */

static err one_der(struct pem_certs *out, bytes der)
{
    out->der = BUF(X509_CERT_MAX);
    TRY(buf_add(&out->der, der));
    out->certs[0] = buf_view(&out->der);
    out->n = 1;
    return OK;
}

err collateral_certs(struct pem_certs *out, bytes in)
{
    *out = (struct pem_certs){ 0 };
    return pem_is_text(in) ? pem_read_certs(out, in) : one_der(out, in);
}

err collateral_chain_expires(const struct x509_chain *chain, int64_t *expires)
{
    for (size_t i = 0; i < x509_len(chain); i++) {
        struct x509_about about;
        TRY(x509_about(chain, i, &about));
        if (about.not_after < *expires)
            *expires = about.not_after;
    }
    return OK;
}

err collateral_check_crl(bytes list, bytes issuer, int64_t now, int64_t *expires)
{
    struct crl *crl = NULL;
    TRY(crl_read(&crl, list));
    err e = crl_verify(crl, issuer, now);
    if (err_is_ok(e) && !crl_next_update(crl, expires))
        e = err_raise(ERR_STALE, __FILE__, __func__, __LINE__);
    crl_free(crl);
    return e;
}

const struct collateral_piece *collateral_piece_of(const struct collateral_plan *plan,
                                                   const struct collateral_piece *pieces,
                                                   enum collateral_kind kind)
{
    for (size_t i = 0; i < plan->n; i++) {
        if (plan->needs[i].kind == kind)
            return &pieces[i];
    }
    return NULL;
}

err collateral_join(struct buf *out, const struct collateral_plan *plan, const struct bundle *b,
                    const struct collateral_piece *pieces)
{
    if (plan->cpu_n == 0)
        return OK;
    return is_platform(b, TDX_PLATFORM) ? collateral_join_tdx(out, plan, b, pieces)
                                        : collateral_join_snp(out, plan, b, pieces);
}

/* ---- kept ---- */

#define AT(member) offsetof(struct collateral_entry, member)

static const struct map_field fields[] = {
    { "key", MAP_NAME, false, AT(key), 1, COLLATERAL_KEY_MAX },
    { "body", MAP_BYTES, false, AT(body), 1, COLLATERAL_BODY_MAX },
    { "kind", MAP_NAME, false, AT(kind), 1, COLLATERAL_KEY_MAX },
    { "chain", MAP_BYTES, true, AT(chain), 1, COLLATERAL_CHAIN_MAX },
    { "version", MAP_UINT, false, AT(version), COLLATERAL_ENTRY_VERSION, COLLATERAL_ENTRY_VERSION },
    { "expires_at", MAP_UINT, false, AT(expires_at), 0, INT64_MAX },
    { "fetched_at", MAP_UINT, false, AT(fetched_at), 0, INT64_MAX },
};

err collateral_entry_write(struct buf *out, const struct collateral_entry *entry)
{
    return map_write(out, fields, ARRAY_LEN(fields), entry);
}

err collateral_entry_read(bytes in, const struct collateral_need *need,
                          struct collateral_entry *out)
{
    ENSURE(in.len <= COLLATERAL_ENTRY_MAX, LIMIT);
    TRY(map_read(in, fields, ARRAY_LEN(fields), out, sizeof *out));
    if (bytes_equal(out->key, bytes_str(need->key)) &&
        bytes_equal(out->kind, bytes_str(collateral_kind_word(need->kind))))
        return OK;
    *out = (struct collateral_entry){ 0 };
    FAIL(UNTRUSTED);
}
