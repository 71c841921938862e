/*
 * vec_attest_nitro FOLDER - AWS Nitro documents by the list in a cases.json.
 *
 * Outcome, reason and every stated field have to agree. A case whose outcome is for the
 * implementation to define has to come to one; ours is in attest/README.md and held to it.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "attest/nitro_verify.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/init.h"
#include "crypto/pem.h"
#include "tests/vectors/vec.h"

/* A reason of ours that is one kind of a wider one, or spelled in another way there. */
static const struct {
    const char *ours;
    const char *theirs;
} kinds[] = {
    { "leaf-signature", "chain-signature" },  { "leaf-signature", "chain" },
    { "chain-signature", "chain" },           { "missing-cabundle", "cabundle-missing" },
    { "missing-cabundle", "cabundle" },       { "missing-pcrs", "pcrs" },
    { "missing-certificate", "certificate" },
};

static bool same_reason(bytes ours, bytes theirs)
{
    if (bytes_equal(ours, theirs))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (bytes_equal(ours, bytes_str(kinds[i].ours)) &&
            bytes_equal(theirs, bytes_str(kinds[i].theirs)))
            return true;
    }
    return false;
}

/* theirs: words with " or " between them. */
static bool one_of_reasons(const char *ours, const char *theirs)
{
    bytes rest = bytes_str(theirs), or = BYTES_LIT(" or ");
    while (rest.len > 0) {
        size_t end = text_find(rest, or);
        if (same_reason(bytes_str(ours), bytes_slice(rest, 0, end)))
            return true;
        rest = bytes_slice(rest, end + or.len, rest.len);
    }
    return false;
}

/* --- fields ------------------------------------------------------------------------------------ */

static void check_hex(struct vec *v, const json_t *fields, const char *key, bytes have)
{
    vec_same(v, have, vec_hex(v, fields, key), key);
}

static void check_optional(struct vec *v, const json_t *fields, const char *key,
                           const struct nitro_field *have)
{
    if (!json_is_null(json_object_get(fields, key)))
        check_hex(v, fields, key, have->value);
    else if (have->present)
        vec_fail(v, "%s is there", key);
}

static void check_pcrs(struct vec *v, const json_t *want, const struct nitro_doc *d)
{
    size_t n = 0;
    for (unsigned i = 0; i < NITRO_PCRS_MAX; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "%u", i);
        if (d->pcrs[i].len == 0)
            continue;
        n++;
        check_hex(v, want, key, d->pcrs[i]);
    }
    if (n != json_object_size(want))
        vec_fail(v, "%zu PCRs", n);
}

static void check_date(struct vec *v, const json_t *want, const char *key, int64_t have)
{
    const char *text = vec_text(want, key);
    struct tm tm;
    char got[32];
    time_t t = (time_t)have;
    (void)gmtime_r(&t, &tm);
    (void)strftime(got, sizeof got, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (strcmp(got, text) != 0)
        vec_fail(v, "%s is %s", key, got);
}

static void check_certificates(struct vec *v, const json_t *want, const struct nitro_result *r)
{
    if (json_array_size(want) != r->certs_n)
        vec_fail(v, "%zu certificates", r->certs_n);
    for (size_t i = 0; i < r->certs_n; i++) {
        const json_t *one = json_array_get(want, i);
        vec_same(v, bytes_str(r->certs[i].subject), bytes_str(vec_text(one, "subject")), "subject");
        check_date(v, one, "not_before", r->certs[i].not_before);
        check_date(v, one, "not_after", r->certs[i].not_after);
    }
}

static void check_field(struct vec *v, const json_t *fields, const char *key,
                        const struct nitro_result *r)
{
    const json_t *want = json_object_get(fields, key);
    const struct nitro_doc *d = &r->doc;
    if (strcmp(key, "module_id") == 0)
        vec_same(v, d->module_id, bytes_str(json_string_value(want)), key);
    else if (strcmp(key, "digest") == 0)
        vec_same(v, d->digest, bytes_str(json_string_value(want)), key);
    else if (strcmp(key, "timestamp_ms") == 0 && vec_u64(v, fields, key) != d->timestamp_ms)
        vec_fail(v, "timestamp_ms differs");
    else if (strcmp(key, "pcrs") == 0)
        check_pcrs(v, want, d);
    else if (strcmp(key, "public_key") == 0)
        check_optional(v, fields, key, &d->public_key);
    else if (strcmp(key, "user_data") == 0)
        check_optional(v, fields, key, &d->user_data);
    else if (strcmp(key, "nonce") == 0)
        check_optional(v, fields, key, &d->nonce);
    else if (strcmp(key, "debug") == 0 && json_is_true(want) != r->debug)
        vec_fail(v, "debug differs");
    else if (strcmp(key, "certificates") == 0)
        check_certificates(v, want, r);
}

static void check_fields(struct vec *v, const json_t *fields, const struct nitro_result *r)
{
    static const char *const known[] = { "module_id", "digest",     "timestamp_ms",
                                         "pcrs",      "public_key", "user_data",
                                         "nonce",     "debug",      "certificates" };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (vec_has(fields, known[i]))
            check_field(v, fields, known[i], r);
    }
}

/* --- one case ---------------------------------------------------------------------------------- */

static struct nitro_expected expected(struct vec *v, const json_t *policy, const char *key)
{
    bool asked = vec_has(policy, key);
    return (struct nitro_expected){ asked, asked ? vec_hex(v, policy, key) : (bytes){ 0 } };
}

static void set_root(struct vec *v, const json_t *one, struct x509_root *root)
{
    struct pem_certs pem;
    err e = pem_read_certs(&pem, vec_file(v, vec_text(one, "root")));
    vec_ok(v, e, "root");
    if (err_is_ok(e))
        sha256_of(pem.certs[0], root->sha256);
    pem_clear(&pem);
}

static void set_user_data(struct vec *v, const json_t *policy, struct buf *spki,
                          struct nitro_settings *s)
{
    struct pem_certs pem;
    if (!vec_has(policy, "user_data_is_spki_of"))
        return;
    err e = pem_read_certs(&pem, vec_file(v, vec_text(policy, "user_data_is_spki_of")));
    if (err_is_ok(e))
        e = x509_spki(pem.certs[0], spki);
    vec_ok(v, e, "certificate of user_data");
    pem_clear(&pem);
    s->user_data = (struct nitro_expected){ true, buf_view(spki) };
}

static void set_pcrs(struct vec *v, const json_t *policy, struct nitro_settings *s)
{
    const char *key;
    json_t *value;
    uint64_t index;
    json_t *pcrs = json_object_get(policy, "pcrs");
    json_object_foreach(pcrs, key, value)
    {
        if (text_u64(bytes_str(key), &index) && index < NITRO_PCRS_MAX)
            s->pcrs[index] = vec_hex(v, pcrs, key);
        else
            vec_fail(v, "no PCR is called %s", key);
    }
}

static void judge(struct vec *v, const char *expect, const char *reason,
                  const struct nitro_result *r)
{
    const char *word = nitro_reason_word(r->reason);
    if (strcmp(expect, "accept") == 0 && !r->accepted)
        vec_fail(v, "refused: %s", word);
    else if (strcmp(expect, "reject") == 0 && r->accepted)
        vec_fail(v, "accepted instead of %s", reason);
    else if (strcmp(expect, "reject") == 0 && !one_of_reasons(word, reason))
        vec_fail(v, "%s instead of %s", word, reason);
    else if (strcmp(expect, "implementation-defined") == 0)
        vec_choice(v, r->accepted, word);
    else if (strcmp(expect, "accept") != 0 && strcmp(expect, "reject") != 0)
        vec_fail(v, "unknown expectation %s", expect);
}

static void check_stated(struct vec *v, const json_t *one, const struct nitro_result *r)
{
    if (json_is_true(json_object_get(one, "signature_valid")) &&
        r->checks[NITRO_CHECK_SIGNATURE].status == VERDICT_FAIL)
        vec_fail(v, "the signature is refused");
    if (json_is_true(json_object_get(one, "chain_signatures_valid")) &&
        (r->reason == NITRO_LEAF_SIGNATURE || r->reason == NITRO_CHAIN_SIGNATURE))
        vec_fail(v, "a signature of the chain is refused");
    if (vec_has(one, "fields") && r->checks[NITRO_CHECK_FORM].status == VERDICT_PASS)
        check_fields(v, json_object_get(one, "fields"), r);
    else if (vec_has(one, "fields") && r->reason == NITRO_MALFORMED)
        vec_fail(v, "its fields cannot be read");
}

static void run_case(struct vec *v, const json_t *one, struct nitro_result *r)
{
    const json_t *policy = json_object_get(one, "policy");
    struct x509_root root = { 0 };
    BUF_AUTO spki = BUF(4096);
    bytes doc = vec_file(v, vec_text(one, "doc"));
    struct nitro_settings s = { .roots = &root,
                                .roots_n = 1,
                                .at_s = (int64_t)vec_u64(v, one, "verify_time"),
                                .nonce = expected(v, policy, "nonce"),
                                .public_key = expected(v, policy, "public_key"),
                                .user_data = expected(v, policy, "user_data") };
    if (vec_has(policy, "max_age_s"))
        s.max_age_s = (int64_t)vec_u64(v, policy, "max_age_s");
    set_root(v, one, &root);
    set_user_data(v, policy, &spki, &s);
    set_pcrs(v, policy, &s);
    vec_ok(v, nitro_verify(doc, &s, r), "verification");
    judge(v, vec_text(one, "expect"), vec_text(one, "reason"), r);
    check_stated(v, one, r);
    if (!vec_has(one, "expect_if_debug_allowed"))
        return;
    s.allow_debug = true;
    vec_ok(v, nitro_verify(doc, &s, r), "verification");
    judge(v, vec_text(one, "expect_if_debug_allowed"), vec_text(one, "reason"), r);
}

static bool run_file(struct vec *v, const json_t *root)
{
    size_t i;
    json_t *one;
    struct nitro_result *r = mem_alloc(sizeof *r);
    if (r == NULL || strcmp(vec_text(root, "platform"), "nitro") != 0 || !vec_has(root, "cases")) {
        mem_free(r);
        return false;
    }
    json_array_foreach(json_object_get(root, "cases"), i, one)
    {
        vec_begin(v, "%s", vec_text(one, "id"));
        run_case(v, one, r);
        vec_end(v);
    }
    mem_free(r);
    return true;
}

int main(int argc, char **argv)
{
    return err_is_ok(crypto_init()) ? vec_main(argc, argv, run_file) : 1;
}
