/*
 * A worker that shows evidence it has not made: files of the folder SEALGATE_TEST_EVIDENCE, asked for
 * with its own identity, nonce and claims like any other. The linker puts this in front of what makes
 * and reads back evidence; the rest is the real worker.
 *
 *     platform    what it says to be; without it the simulated platform makes evidence
 *     evidence    the platform's
 *     collateral  as verifiers take it; may be absent
 *     gpu         GPU evidence; may be absent
 *     bundle      given out as it stands, whatever was asked; may be absent
 *
 * SEALGATE_TEST_LAUNCHER=SOCKET: the platform is Confidential Space, with its launcher there.
 * SEALGATE_TEST_SUBJECT=nonce, identity or claims: the evidence is made for another one than stands
 * beside it. SEALGATE_TEST_FLIP=N: one bit of each bundle is another, N thousandths on its way.
 * SEALGATE_TEST_BEND=1: the worker does not mind what it shows.
 */
#include <stdlib.h>
#include <string.h>

#include "attest/bundle.h"
#include "attest/gcp_attest.h"
#include "attest/own.h"
#include "attest/simulated.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "enclave-worker/tee.h"

enum { NAME_MAX_LEN = 512, THOUSAND = 1000 };

err __real_tee_open(struct attester **out, const char *word, const char *image,
                    struct buf *message);
err __wrap_tee_open(struct attester **out, const char *word, const char *image,
                    struct buf *message);
err __real_attester_document_with_gpu(struct attester *a, const struct attester_subject *subject,
                                      bytes gpu_evidence, int64_t now, struct buf *out);
err __wrap_attester_document_with_gpu(struct attester *a, const struct attester_subject *subject,
                                      bytes gpu_evidence, int64_t now, struct buf *out);
err __real_bundle_join(struct buf *out, bytes evidence_document, bytes key_statement);
err __wrap_bundle_join(struct buf *out, bytes evidence_document, bytes key_statement);
err __real_own_read(bytes document, const struct attester_subject *subject, int64_t now,
                    struct verdict *out);
err __wrap_own_read(bytes document, const struct attester_subject *subject, int64_t now,
                    struct verdict *out);

static bool is_set(const char *name, const char *value)
{
    const char *have = getenv(name); /* NOLINT(concurrency-mt-unsafe) */
    return have != NULL && strcmp(have, value) == 0;
}

/* False when there is no such file. */
static bool read_recorded(const char *name, struct buf *out)
{
    const char *folder = getenv("SEALGATE_TEST_EVIDENCE"); /* NOLINT(concurrency-mt-unsafe) */
    BUF_AUTO path = BUF(NAME_MAX_LEN);
    return folder != NULL && err_is_ok(buf_addf(&path, "%s/%s", folder, name)) &&
           err_is_ok(file_read(out, buf_str(&path)));
}

/* --- the attester ------------------------------------------------------------------------------ */

struct recorded {
    struct attester base;
    struct attester_kind kind;
    struct buf platform;
};

static err quote(struct attester *a, const struct attester_ask *ask, struct buf *evidence,
                 struct buf *collateral)
{
    (void)a;
    (void)ask;
    ENSURE(read_recorded("evidence", evidence), UNAVAILABLE);
    (void)read_recorded("collateral", collateral);
    return OK;
}

static void release(struct attester *a)
{
    struct recorded *r = CONTAINER_OF(a, struct recorded, base);
    buf_clear(&r->platform);
    mem_free(r);
}

err __wrap_tee_open(struct attester **out, const char *word, const char *image, struct buf *message)
{
    struct recorded *r;
    const char *launcher = getenv("SEALGATE_TEST_LAUNCHER"); /* NOLINT(concurrency-mt-unsafe) */
    BUF_AUTO platform = BUF(BUNDLE_PLATFORM_MAX + 1);
    if (launcher != NULL)
        return gcp_attester_new(out, &(struct gcp_attest_settings){ .socket = launcher });
    if (!read_recorded("platform", &platform))
        return __real_tee_open(out, word, image, message);
    TRY(mem_new(&r));
    r->platform = platform;
    platform = BUF(1);
    r->kind = (struct attester_kind){
        .platform = buf_str(&r->platform), .trust = TRUST_HARDWARE, .quote = quote, .free = release
    };
    r->base.kind = &r->kind;
    *out = &r->base;
    return OK;
}

/* --- what stands beside the evidence ----------------------------------------------------------- */

/* Made for a subject that is another in one part; the parts beside it are then the asked ones. */
static err document_of_another(struct attester *a, const struct attester_subject *subject,
                               const char *part, bytes gpu, int64_t now, struct buf *out)
{
    static const uint8_t other[BUNDLE_IDENTITY_LEN] = { 1, 2, 3 };
    struct attester_subject s = *subject;
    struct bundle b;
    BUF_AUTO document = BUF(BUNDLE_MAX);
    if (strcmp(part, "nonce") == 0)
        s.nonce = BYTES_ARRAY(other);
    if (strcmp(part, "identity") == 0)
        s.identity = BYTES_ARRAY(other);
    if (strcmp(part, "claims") == 0)
        s.claims = BYTES_ARRAY(other);
    TRY(__real_attester_document_with_gpu(a, &s, gpu, now, &document));
    TRY(evidence_document_read(buf_view(&document), &b));
    b.nonce = subject->nonce;
    b.identity = subject->identity;
    b.claims = subject->claims;
    return evidence_document_write(out, &b);
}

err __wrap_attester_document_with_gpu(struct attester *a, const struct attester_subject *subject,
                                      bytes gpu_evidence, int64_t now, struct buf *out)
{
    const char *part = getenv("SEALGATE_TEST_SUBJECT"); /* NOLINT(concurrency-mt-unsafe) */
    BUF_AUTO gpu = BUF(BUNDLE_GPU_EVIDENCE_MAX);
    if (read_recorded("gpu", &gpu))
        gpu_evidence = buf_view(&gpu);
    return part != NULL ? document_of_another(a, subject, part, gpu_evidence, now, out)
                        : __real_attester_document_with_gpu(a, subject, gpu_evidence, now, out);
}

static err join_and_flip(struct buf *out, bytes evidence_document, bytes key_statement)
{
    const char *flip = getenv("SEALGATE_TEST_FLIP"); /* NOLINT(concurrency-mt-unsafe) */
    TRY(__real_bundle_join(out, evidence_document, key_statement));
    uint64_t part = 0;
    if (flip != NULL && text_u64(bytes_str(flip), &part) && part < THOUSAND)
        out->at[part * out->len / THOUSAND] ^= 1;
    return OK;
}

err __wrap_bundle_join(struct buf *out, bytes evidence_document, bytes key_statement)
{
    BUF_AUTO bundle = BUF(2 * BUNDLE_MAX);
    if (!read_recorded("bundle", &bundle))
        return join_and_flip(out, evidence_document, key_statement);
    buf_clear(out);
    *out = bundle;
    bundle = BUF(1);
    return OK;
}

err __wrap_own_read(bytes document, const struct attester_subject *subject, int64_t now,
                    struct verdict *out)
{
    if (!is_set("SEALGATE_TEST_BEND", "1"))
        return __real_own_read(document, subject, now, out);
    memset(out, 0, sizeof *out);
    out->accepted = true;
    out->platform = SIMULATED_PLATFORM;
    sha256_of(document, out->document_digest);
    return OK;
}
