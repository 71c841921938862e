/*
 * vec_attest_sev-snp FOLDER - AMD SEV-SNP reports by the list in a cases.json.
 *
 * Outcome, reason and every stated field have to agree. A case whose outcome is for the
 * implementation to define has to come to one; ours is in attest/README.md and held to it.
 */
#include <string.h>
#include <time.h>

#include "attest/snp_verify.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/init.h"
#include "tests/vectors/vec.h"

/* Ours, and how the same is spelled there. */
static const struct {
    const char *ours;
    const char *theirs;
} kinds[] = {
    { "crl-signature", "issuer" }, { "crl-signature", "crl-issuer" }, { "revoked", "crl-revoked" },
    { "chip-id", "hwid" },         { "minimum-tcb", "min-tcb" },      { "leaf-form", "malformed" },
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

static bool is_of_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/* theirs: words with anything between them. */
static bool one_of_reasons(const char *ours, const char *theirs)
{
    bytes in = bytes_str(theirs);
    for (size_t from = 0; from < in.len; from++) {
        size_t n = 0;
        while (from + n < in.len && is_of_word(in.at[from + n]))
            n++;
        if (n > 0 && same_reason(bytes_str(ours), bytes_slice(in, from, n)))
            return true;
        from += n;
    }
    return false;
}

/* --- fields: made here in full, then compared with what is stated ------------------------------ */

static void set(json_t *to, const char *key, json_t *value)
{
    (void)json_object_set_new(to, key, value);
}

static void set_u64(json_t *to, const char *key, uint64_t v)
{
    set(to, key, json_integer((json_int_t)v));
}

static void set_hex(json_t *to, const char *key, bytes v)
{
    BUF_AUTO text = BUF(1024);
    bool fine = err_is_ok(text_hex_encode(&text, v));
    set(to, key, json_string(fine ? buf_str(&text) : ""));
}

static void set_hex_number(json_t *to, const char *key, uint64_t v)
{
    set(to, key, json_sprintf("0x%llx", (unsigned long long)v));
}

static json_t *tcb(const struct snp_tcb *t, enum snp_product p)
{
    static const char *const names[SNP_PARTS] = { "fmc", "bl", "tee", "snp", "ucode" };
    json_t *out = json_object();
    for (unsigned i = 0; i < SNP_PARTS; i++) {
        if (snp_tcb_place(p, (enum snp_part)i) >= 0)
            set_u64(out, names[i], snp_tcb_part(t, p, (enum snp_part)i));
    }
    return out;
}

static json_t *policy_bits(uint64_t policy)
{
    static const struct {
        const char *name;
        uint64_t bit;
    } bits[] = {
        { "smt", SNP_POLICY_SMT },
        { "rsvd17", SNP_POLICY_ONE },
        { "migrate_ma", SNP_POLICY_MIGRATE_MA },
        { "debug", SNP_POLICY_DEBUG },
        { "single_socket", SNP_POLICY_SINGLE_SOCKET },
        { "cxl", SNP_POLICY_CXL },
        { "aes256xts", SNP_POLICY_AES_256_XTS },
        { "rapl_dis", SNP_POLICY_RAPL_DIS },
        { "ciphertext_hiding", SNP_POLICY_CIPHERTEXT_HIDING },
        { "page_swap_dis", SNP_POLICY_PAGE_SWAP_DISABLE },
    };
    json_t *out = json_object();
    set_u64(out, "abi_minor", policy & 0xff);
    set_u64(out, "abi_major", policy >> 8 & 0xff);
    for (size_t i = 0; i < ARRAY_LEN(bits); i++)
        set_u64(out, bits[i].name, (policy & bits[i].bit) != 0);
    return out;
}

static json_t *cpuid(const struct snp_report *r)
{
    json_t *out = json_object();
    if (!r->has_cpuid) {
        json_decref(out);
        return json_null();
    }
    set_hex_number(out, "fam", r->family);
    set_hex_number(out, "model", r->model);
    set_u64(out, "step", r->stepping);
    return out;
}

static json_t *firmware(struct snp_firmware v)
{
    return json_pack("[iii]", (int)v.major, (int)v.minor, (int)v.build);
}

static void set_strings(json_t *out, const struct snp_report *r)
{
    set_hex(out, "report_data", r->report_data);
    set_hex(out, "measurement", r->measurement);
    set_hex(out, "host_data", r->host_data);
    set_hex(out, "id_key_digest", r->id_key_digest);
    set_hex(out, "author_key_digest", r->author_key_digest);
    set_hex(out, "report_id", r->report_id);
    set_hex(out, "report_id_ma", r->report_id_ma);
    set_hex(out, "family_id", r->family_id);
    set_hex(out, "image_id", r->image_id);
    set_hex(out, "chip_id", r->chip_id);
}

static json_t *fields(const struct snp_result *result)
{
    const struct snp_report *r = &result->report;
    json_t *out = json_object();
    set_strings(out, r);
    set_u64(out, "version", r->version);
    set_u64(out, "guest_svn", r->guest_svn);
    set_hex_number(out, "policy", r->policy);
    set(out, "policy_bits", policy_bits(r->policy));
    set_u64(out, "vmpl", r->vmpl);
    set_u64(out, "sig_algo", r->sig_algo);
    set_u64(out, "signing_key", r->signing_key);
    set_u64(out, "mask_chip_key", r->mask_chip_key);
    set_u64(out, "author_key_en", r->author_key_en);
    set_hex_number(out, "platform_info", r->platform_info);
    set(out, "cpuid", cpuid(r));
    set(out, "current_tcb", tcb(&r->current, result->product));
    set(out, "reported_tcb", tcb(&r->reported, result->product));
    set(out, "committed_tcb", tcb(&r->committed, result->product));
    set(out, "launch_tcb", tcb(&r->launch, result->product));
    set(out, "cur_ver", firmware(r->current_version));
    set(out, "com_ver", firmware(r->committed_version));
    set_hex_number(out, "launch_mit", r->launch_mit);
    set_hex_number(out, "cur_mit", r->current_mit);
    set(out, "debug", json_boolean((r->policy & SNP_POLICY_DEBUG) != 0));
    return out;
}

static json_t *leaf_extensions(const struct snp_leaf *l)
{
    static const char *const milan[] = { "spl4", "spl5", "spl6", "spl7" };
    size_t first = l->product == SNP_TURIN ? 4 : 2;
    json_t *out = tcb(&l->tcb, l->product);
    set_u64(out, "structver", l->structure);
    set(out, "product", json_string(l->product_name));
    for (size_t at = first; at < first + (first == 4 ? 3U : 4U); at++)
        set_u64(out, milan[at - first + (first == 4 ? 1U : 0U)], l->tcb.raw[at]);
    if (l->vlek)
        set(out, "csp_id", json_string(l->csp_id));
    else
        set_hex(out, "hwid", bytes_of(l->hwid, l->hwid_len));
    return out;
}

static void utc(char out[static 32], int64_t at)
{
    time_t t = (time_t)at;
    struct tm tm;
    (void)gmtime_r(&t, &tm);
    (void)strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static json_t *leaf_valid(const struct snp_leaf *l)
{
    char from[32];
    char until[32];
    utc(from, l->not_before);
    utc(until, l->not_after);
    return json_sprintf("%s .. %s", from, until);
}

/* Every stated value has to be ours. */
static void compare(struct vec *v, const char *what, json_t *want, json_t *have)
{
    const char *key;
    json_t *value;
    json_object_foreach(want, key, value)
    {
        if (!json_equal(value, json_object_get(have, key)))
            vec_fail(v, "%s %s differs", what, key);
    }
    json_decref(have);
}

static void check_stated(struct vec *v, const json_t *one, const struct snp_result *r)
{
    json_t *want = json_object_get(one, "leaf_extensions");
    json_t *valid = json_object_get(one, "leaf_valid");
    if (vec_has(one, "fields") && !r->has_report)
        vec_fail(v, "its fields cannot be read");
    else if (vec_has(one, "fields"))
        compare(v, "field", json_object_get(one, "fields"), fields(r));
    if ((want != NULL || valid != NULL) && !r->has_leaf)
        vec_fail(v, "its leaf cannot be read");
    if (want != NULL && r->has_leaf)
        compare(v, "leaf extension", want, leaf_extensions(&r->leaf));
    if (valid != NULL && r->has_leaf) {
        json_t *have = leaf_valid(&r->leaf);
        if (!json_equal(valid, have))
            vec_fail(v, "leaf_valid is %s", json_string_value(have));
        json_decref(have);
    }
}

/* --- one case ---------------------------------------------------------------------------------- */

/* Leaf, chain and list, or all of them in a host's table. What cannot be taken in is left out, and
 * the verification then says what is missing. */
static void gather(struct vec *v, const json_t *one, struct snp_collateral *c)
{
    size_t i;
    const json_t *path;
    if (vec_has(one, "auxblob"))
        (void)snp_collateral_read(c, vec_file(v, vec_text(one, "auxblob")));
    if (json_is_string(json_object_get(one, "leaf")))
        (void)snp_collateral_add(c, SNP_ENTRY_VCEK, vec_file(v, vec_text(one, "leaf")));
    json_array_foreach(json_object_get(one, "chain"), i, path)
    {
        const char *name = json_string_value(path);
        (void)snp_collateral_add(c, SNP_ENTRY_ASK, vec_file(v, name != NULL ? name : ""));
    }
    if (json_is_string(json_object_get(one, "crl")))
        (void)snp_collateral_add(c, SNP_ENTRY_CRL, vec_file(v, vec_text(one, "crl")));
}

static void judge(struct vec *v, const char *expect, const char *reason, const struct snp_result *r)
{
    const char *why = r->failed != NULL ? r->failed : "nothing";
    if (strcmp(expect, "accept") == 0 && !r->accepted)
        vec_fail(v, "refused: %s", why);
    else if (strcmp(expect, "reject") == 0 && r->accepted)
        vec_fail(v, "accepted instead of %s", reason);
    else if (strcmp(expect, "reject") == 0 && !one_of_reasons(why, reason))
        vec_fail(v, "%s instead of %s", why, reason);
    else if (strcmp(expect, "implementation-defined") == 0)
        vec_choice(v, r->accepted, why);
    else if (strcmp(expect, "accept") != 0 && strcmp(expect, "reject") != 0)
        vec_fail(v, "unknown expectation %s", expect);
}

/* What a case leaves open is open: no minimum, and every line, kind of key and memory. */
static struct snp_policy policy_of(struct vec *v, const json_t *one)
{
    struct snp_policy p = snp_policy_default;
    const json_t *asked = json_object_get(one, "policy");
    memset(&p.reported, 0, sizeof p.reported);
    p.cxl = true;
    p.max_vmpl = vec_has(asked, "max_vmpl") ? (uint32_t)vec_u64(v, asked, "max_vmpl") : 0;
    return p;
}

static void run_case(struct vec *v, const json_t *one, struct snp_result *r)
{
    struct snp_collateral collateral = { 0 };
    struct snp_policy policy = policy_of(v, one);
    struct snp_settings s = { .policy = &policy, .now = (int64_t)vec_u64(v, one, "verify_time") };
    bytes report = vec_file(v, vec_text(one, "report"));
    gather(v, one, &collateral);
    vec_ok(v, snp_verify(report, &collateral, &s, r), "verification");
    judge(v, vec_text(one, "expect"), vec_text(one, "reason"), r);
    check_stated(v, one, r);
    const char *with_minimum = vec_text(one, "expect_with_min_tcb");
    if (with_minimum[0] != '\0') {
        policy.reported = snp_policy_default.reported;
        vec_ok(v, snp_verify(report, &collateral, &s, r), "verification");
        judge(v, with_minimum, "minimum-tcb", r);
    }
    snp_collateral_clear(&collateral);
}

static bool run_file(struct vec *v, const json_t *root)
{
    size_t i;
    const json_t *one;
    struct snp_result *r = mem_alloc(sizeof *r);
    if (r == NULL || strcmp(vec_text(root, "platform"), "sev-snp") != 0 ||
        !vec_has(root, "cases")) {
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
