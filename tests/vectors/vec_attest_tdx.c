/*
 * vec_attest_tdx FOLDER - TDX quotes and their collateral by the list in a cases.json.
 *
 * Outcome, one of the stated reasons and every stated field have to agree. A case whose outcome is
 * for the implementation to define has to come to one; ours is in attest/README.md and held to it.
 * The policy is the one such a file states, which says nothing of SEPT_VE_DISABLE and MIGRATABLE.
 */
#include <stdio.h>
#include <string.h>

#include "attest/tdx_policy.h"
#include "attest/tdx_verify.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/init.h"
#include "tests/vectors/vec.h"

/* --- reasons --------------------------------------------------------------------------------- */

/* What a reason there means here: a fault, or any fault of a check. */
static const struct {
    const char *theirs;
    const char *ours;
} reasons[] = {
    { "header/unsupported version", "header-version" },
    { "header/tee type", "header-tee-type" },
    { "header/key type", "header-key-type" },
    { "header/vendor id", "header-vendor" },
    { "malformed/no certification data", "malformed-no-certification-data" },
    { "malformed/body type and size disagree", "malformed-body-type" },
    { "malformed/size overflow", "form" },
    { "malformed/length overflow", "form" },
    { "malformed/truncated", "form" },
    { "malformed", "form" },
    { "unsupported certificate encoding", "unsupported-certificate-encoding" },
    { "tcb-signing-chain/untrusted root", "tcb-signing-chain-untrusted-root" },
    { "pck-crl issuer", "pck-crl-issuer" },
    { "root-crl issuer", "root-crl-issuer" },
    { "tcb-info not yet valid", "tcb-info-validity" },
    { "qe-identity not yet valid", "qe-identity-validity" },
    { "pck-crl not yet valid", "pck-crl-validity" },
};

static bool fault_applies(const struct tdx_result *r, enum tdx_fault f, bytes word)
{
    return tdx_fault_has(&r->faults, f) &&
           (bytes_equal(word, bytes_str(tdx_fault_word(f))) ||
            bytes_equal(word, bytes_str(tdx_check_word(tdx_fault_check(f)))));
}

static bool has_fault(const struct tdx_result *r, bytes word)
{
    for (enum tdx_fault f = 0; f < TDX_FAULTS; f++) {
        if (fault_applies(r, f, word))
            return true;
    }
    return false;
}

/* "pck-chain/length" is our "pck-chain-length", whatever stands between the words. */
static bool has_fault_spelled(const struct tdx_result *r, bytes theirs)
{
    uint8_t word[128];
    size_t n = 0;
    for (size_t i = 0; i < theirs.len && n < sizeof word; i++) {
        bool between = theirs.at[i] == '/' || theirs.at[i] == ' ';
        word[n++] = between ? (uint8_t)'-' : theirs.at[i];
    }
    return has_fault(r, bytes_of(word, n));
}

static bool has_reason(const struct tdx_result *r, bytes theirs)
{
    bytes status = BYTES_LIT("tcb-status:");
    if (bytes_starts(theirs, status))
        return has_fault(r, BYTES_LIT("tcb-status")) &&
               bytes_equal(bytes_slice(theirs, status.len, theirs.len),
                           bytes_str(tdx_status_word(r->status)));
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        if (bytes_equal(theirs, bytes_str(reasons[i].theirs)) &&
            has_fault(r, bytes_str(reasons[i].ours)))
            return true;
    }
    return has_fault_spelled(r, theirs);
}

/* Alternatives stand with " or " between them, the last perhaps in brackets. */
static bool one_of(const struct tdx_result *r, bytes theirs)
{
    bytes or = BYTES_LIT(" or ");
    while (theirs.len > 0) {
        size_t end = text_find(theirs, or);
        if (has_reason(r, bytes_slice(theirs, 0, end)))
            return true;
        theirs = bytes_slice(theirs, end + or.len, theirs.len);
    }
    return false;
}

/* "a / b / c not yet valid": each of them with those words. */
static bool one_of_list(const struct tdx_result *r, bytes theirs)
{
    bytes slash = BYTES_LIT(" / "), early = BYTES_LIT(" not yet valid");
    if (!bytes_ends(theirs, early))
        return false;
    theirs = bytes_slice(theirs, 0, theirs.len - early.len);
    while (theirs.len > 0) {
        char text[128];
        size_t end = text_find(theirs, slash);
        (void)snprintf(text, sizeof text, "%.*s not yet valid", (int)end, (const char *)theirs.at);
        if (has_reason(r, bytes_str(text)))
            return true;
        theirs = bytes_slice(theirs, end + slash.len, theirs.len);
    }
    return false;
}

/* "pck-crl issuer/signature": a word and several second words. */
static bool one_of_second_words(const struct tdx_result *r, bytes theirs)
{
    size_t space = text_find(theirs, BYTES_LIT(" "));
    bytes first = bytes_slice(theirs, 0, space);
    bytes rest = bytes_slice(theirs, space + 1, theirs.len);
    while (rest.len > 0) {
        char text[128];
        size_t end = text_find(rest, BYTES_LIT("/"));
        (void)snprintf(text, sizeof text, "%.*s-%.*s", (int)first.len, (const char *)first.at,
                       (int)end, (const char *)rest.at);
        if (has_fault(r, bytes_str(text)))
            return true;
        rest = bytes_slice(rest, end + 1, rest.len);
    }
    return false;
}

static bool reason_agrees(const struct tdx_result *r, const char *stated)
{
    bytes theirs = bytes_str(stated);
    size_t open = text_find(theirs, BYTES_LIT(" ("));
    bytes inside = bytes_slice(theirs, open + 2, theirs.len);
    bytes outside = bytes_slice(theirs, 0, open);
    bytes or = BYTES_LIT("or ");
    if (one_of(r, outside) || one_of_list(r, outside) || one_of_second_words(r, outside))
        return true;
    if (!bytes_starts(inside, or) || !bytes_ends(inside, BYTES_LIT(")")))
        return false;
    return one_of(r, bytes_slice(inside, or.len, inside.len - or.len - 1));
}

/* --- fields ---------------------------------------------------------------------------------- */

static void check_word(struct vec *v, const json_t *fields, const char *key, const char *have)
{
    if (vec_has(fields, key) && strcmp(vec_text(fields, key), have) != 0)
        vec_fail(v, "%s is %s", key, have);
}

static void check_number(struct vec *v, const json_t *fields, const char *key, uint64_t have)
{
    if (vec_has(fields, key) && vec_u64(v, fields, key) != have)
        vec_fail(v, "%s is %llu", key, (unsigned long long)have);
}

static void check_hex(struct vec *v, const json_t *fields, const char *key, bytes have)
{
    if (vec_has(fields, key))
        vec_same(v, have, vec_hex(v, fields, key), key);
}

static void check_advisories(struct vec *v, const json_t *want, const struct tdx_result *r)
{
    if (!json_is_array(want))
        return;
    if (json_array_size(want) != r->advisories_n)
        vec_fail(v, "%zu advisories", r->advisories_n);
    for (size_t i = 0; i < json_array_size(want); i++) {
        const char *id = json_string_value(json_array_get(want, i));
        bool found = false;
        for (size_t k = 0; id != NULL && k < r->advisories_n; k++)
            found = found || strcmp(r->advisories[k].id, id) == 0;
        if (!found)
            vec_fail(v, "advisory %s is missing", id != NULL ? id : "");
    }
}

static void check_components(struct vec *v, const json_t *want, const struct tdx_pck *pck)
{
    if (!json_is_array(want))
        return;
    if (json_array_size(want) != TDX_COMPONENTS)
        vec_fail(v, "not 16 components are stated");
    for (size_t i = 0; i < TDX_COMPONENTS; i++) {
        if (json_integer_value(json_array_get(want, i)) != pck->components[i])
            vec_fail(v, "component %zu is %u", i, pck->components[i]);
    }
}

static void check_known_keys(struct vec *v, json_t *fields)
{
    static const char *const others[] = {
        "version",
        "body_type",
        "debug",
        "qe_isvsvn",
        "qe_isvprodid",
        "tcb_status",
        "tcb_date",
        "advisories",
        "platform_tcb_status",
        "tdx_module_status",
        "tdx_module_id",
        "qe_status",
        "trailing",
        "fmspc",
        "pce_id",
        "ppid",
        "pck_pcesvn",
        "pck_tcb_components",
    };
    const char *key;
    json_t *value;
    json_object_foreach(fields, key, value)
    {
        bool known = false;
        for (enum tdx_field f = 0; f < TDX_FIELDS; f++)
            known = known || strcmp(key, tdx_field_name(f)) == 0;
        for (size_t i = 0; i < ARRAY_LEN(others); i++)
            known = known || strcmp(key, others[i]) == 0;
        if (!known)
            vec_fail(v, "a field %s is not known here", key);
    }
}

static void check_platform(struct vec *v, const json_t *fields, const struct tdx_result *r)
{
    check_hex(v, fields, "fmspc", BYTES_ARRAY(r->pck.fmspc));
    check_hex(v, fields, "pce_id", BYTES_ARRAY(r->pck.pce_id));
    check_hex(v, fields, "ppid", BYTES_ARRAY(r->pck.ppid));
    check_number(v, fields, "pck_pcesvn", r->pck.pcesvn);
    check_components(v, json_object_get(fields, "pck_tcb_components"), &r->pck);
}

static void check_fields(struct vec *v, json_t *fields, const struct tdx_result *r)
{
    check_known_keys(v, fields);
    for (enum tdx_field f = 0; f < TDX_FIELDS; f++)
        check_hex(v, fields, tdx_field_name(f), tdx_quote_field(&r->quote, f));
    check_number(v, fields, "version", r->quote.version);
    check_number(v, fields, "body_type", r->quote.body_type);
    check_number(v, fields, "trailing", r->quote.trailing);
    check_number(v, fields, "qe_isvsvn", r->qe_isvsvn);
    check_number(v, fields, "qe_isvprodid", r->qe_isvprodid);
    check_word(v, fields, "tcb_status", tdx_status_word(r->status));
    check_word(v, fields, "platform_tcb_status", tdx_status_word(r->platform_status));
    check_word(v, fields, "tdx_module_status", tdx_status_word(r->module_status));
    check_word(v, fields, "tdx_module_id", r->module_id);
    check_word(v, fields, "qe_status", tdx_status_word(r->qe_status));
    check_word(v, fields, "tcb_date", r->tcb_date);
    check_advisories(v, json_object_get(fields, "advisories"), r);
    check_platform(v, fields, r);
    const json_t *debug = json_object_get(fields, "debug");
    if (json_is_boolean(debug) &&
        json_is_true(debug) != ((tdx_quote_attributes(&r->quote) & 1) != 0))
        vec_fail(v, "debug is not as stated");
}

/* --- outcomes -------------------------------------------------------------------------------- */

static void list_faults(const struct tdx_result *r, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (enum tdx_fault f = 0; f < TDX_FAULTS; f++) {
        if (!tdx_fault_has(&r->faults, f) || used >= size)
            continue;
        int n = snprintf(out + used, size - used, " %s", tdx_fault_word(f));
        used += n > 0 ? (size_t)n : 0;
    }
}

static bool any_signature_fault(const struct tdx_result *r)
{
    return has_fault(r, BYTES_LIT("quote-signature")) ||
           has_fault(r, BYTES_LIT("qe-report-signature")) ||
           has_fault(r, BYTES_LIT("qe-report-data")) || has_fault(r, BYTES_LIT("pck-chain"));
}

static void check_outcome(struct vec *v, const json_t *c, const struct tdx_result *r)
{
    const char *want = vec_text(c, "expect");
    char faults[512];
    list_faults(r, faults, sizeof faults);
    if (strcmp(want, "implementation-defined") == 0) {
        vec_choice(v, r->accepted, faults[0] == ' ' ? faults + 1 : faults);
        return;
    }
    if (strcmp(want, r->accepted ? "accept" : "reject") != 0)
        vec_fail(v, "expected %s, got%s", want, r->accepted ? " accept" : faults);
    else if (!r->accepted && !reason_agrees(r, vec_text(c, "reason")))
        vec_fail(v, "expected %s, got%s", vec_text(c, "reason"), faults);
    if (json_is_true(json_object_get(c, "signatures_valid")) && any_signature_fault(r))
        vec_fail(v, "the signatures are good, got%s", faults);
}

static void verify(struct vec *v, const json_t *c, struct tdx_result *r)
{
    const json_t *named = json_object_get(c, "collateral");
    struct tdx_collateral collateral = { 0 };
    struct tdx_policy policy = { .any_sept_ve = true, .migratable = true };
    struct tdx_input in = { .quote = vec_file(v, vec_text(c, "quote")),
                            .policy = &policy,
                            .now = (int64_t)vec_u64(v, c, "verify_time") };
    if (json_is_object(named)) {
        collateral.tcb_info = vec_file(v, vec_text(named, "tcb_info"));
        collateral.qe_identity = vec_file(v, vec_text(named, "qe_identity"));
        collateral.tcb_info_chain = vec_file(v, vec_text(named, "tcb_signing_chain"));
        collateral.qe_identity_chain = collateral.tcb_info_chain;
        collateral.pck_crl = vec_file(v, vec_text(named, "pck_crl"));
        collateral.root_crl = vec_file(v, vec_text(named, "root_ca_crl"));
        in.collateral = &collateral;
    }
    vec_ok(v, tdx_verify(&in, r), "verify");
}

static void run_case(struct vec *v, const json_t *c)
{
    struct tdx_result *r = NULL;
    vec_begin(v, "%s", vec_text(c, "id"));
    vec_ok(v, mem_new(&r), "memory");
    verify(v, c, r);
    check_outcome(v, c, r);
    if (json_is_object(json_object_get(c, "fields")))
        check_fields(v, json_object_get(c, "fields"), r);
    vec_end(v);
    mem_free(r);
}

static bool run(struct vec *v, const json_t *root)
{
    const json_t *cases = json_object_get(root, "cases");
    if (strcmp(vec_text(root, "platform"), "tdx") != 0 || !json_is_array(cases) ||
        json_array_size(cases) == 0)
        return false;
    for (size_t i = 0; i < json_array_size(cases); i++)
        run_case(v, json_array_get(cases, i));
    return true;
}

int main(int argc, char **argv)
{
    if (!err_is_ok(crypto_init()))
        return 1;
    return vec_main(argc, argv, run);
}
