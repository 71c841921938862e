/*
 * vec_attest_nvidia FOLDER - NVIDIA evidence by the lists in a cases.json: devices, nodes, answers of
 * NRAS and OCSP, manifests, and reference values against a device.
 *
 * Outcome, reason and every stated field have to agree. A case whose outcome is for the
 * implementation to define has to come to one; ours is in attest/README.md and held to it.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "attest/nvgpu_node.h"
#include "attest/nvgpu_nras.h"
#include "attest/nvgpu_rim.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/init.h"
#include "crypto/ocsp.h"
#include "crypto/pem.h"
#include "tests/vectors/vec.h"

/* When a case gives no time: device certificates are good from 2023 to 9999. */
enum { SOME_TIME = 1767225600 };

/* --- reasons ----------------------------------------------------------------------------------- */

/* A reason of ours that is one kind of a wider one there. */
static const struct {
    const char *ours;
    const char *theirs;
} kinds[] = {
    { "untrusted-root", "chain" },
    { "device-type", "chain" },
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

static void judge(struct vec *v, const json_t *one, bool accepted, const char *word)
{
    const char *expect = vec_text(one, "expect"), *reason = vec_text(one, "reason");
    if (strcmp(expect, "accept") == 0 && !accepted)
        vec_fail(v, "refused: %s", word);
    else if (strcmp(expect, "reject") == 0 && accepted)
        vec_fail(v, "accepted instead of %s", reason);
    else if (strcmp(expect, "reject") == 0 && !one_of_reasons(word, reason))
        vec_fail(v, "%s instead of %s", word, reason);
    else if (strcmp(expect, "implementation-defined") == 0)
        vec_choice(v, accepted, word);
    else if (strcmp(expect, "accept") != 0 && strcmp(expect, "reject") != 0)
        vec_fail(v, "unknown expectation %s", expect);
}

static int64_t time_of(struct vec *v, const json_t *one)
{
    return vec_has(one, "verify_time") ? (int64_t)vec_u64(v, one, "verify_time") : SOME_TIME;
}

static void date_text(int64_t at, char out[static 32])
{
    struct tm tm;
    time_t t = (time_t)at;
    (void)gmtime_r(&t, &tm);
    (void)strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* --- devices ----------------------------------------------------------------------------------- */

/* Files of certificates, kept for as long as a case lasts. */
struct files {
    struct pem_certs pem[NVGPU_DEVICES_MAX + 1];
    size_t n;
};

static void files_clear(struct files *f)
{
    while (f->n > 0)
        pem_clear(&f->pem[--f->n]);
}

static const struct pem_certs *read_pem(struct vec *v, struct files *f, const char *path)
{
    struct pem_certs *pem = &f->pem[f->n++];
    bytes text = vec_file(v, path);
    (void)pem_read_certs(pem, text);
    return pem;
}

static struct nvgpu_device device_of(struct vec *v, struct files *f, const json_t *one)
{
    const struct pem_certs *pem = read_pem(v, f, vec_text(one, "chain"));
    bool is_switch = strstr(vec_text(one, "type"), "switch") != NULL;
    struct nvgpu_device d = { .kind = is_switch ? NVGPU_SWITCH : NVGPU_GPU,
                              .evidence = vec_file(v, vec_text(one, "evidence")) };
    for (; d.certs_n < pem->n && d.certs_n < NVGPU_CHAIN_MAX; d.certs_n++)
        d.certs[d.certs_n] = pem->certs[d.certs_n];
    return d;
}

/* The last certificate of the file that a case or the list names. */
static struct x509_root root_of(struct vec *v, const json_t *one, const json_t *all,
                                const char *key)
{
    struct files f = { .n = 0 };
    struct x509_root root = { 0 };
    const char *path = vec_has(one, key) ? vec_text(one, key) : vec_text(all, key);
    const struct pem_certs *pem = read_pem(v, &f, path);
    if (pem->n > 0)
        sha256_of(pem->certs[pem->n - 1], root.sha256);
    else
        vec_fail(v, "no root at %s", path);
    files_clear(&f);
    return root;
}

static void check_hex(struct vec *v, const json_t *fields, const char *key, bytes have)
{
    if (!vec_has(fields, key))
        return;
    if (json_is_null(json_object_get(fields, key))) {
        if (have.len > 0)
            vec_fail(v, "%s is there", key);
        return;
    }
    vec_same(v, have, vec_hex(v, fields, key), key);
}

static void check_number(struct vec *v, const json_t *fields, const char *key, size_t have)
{
    if (vec_has(fields, key) && vec_u64(v, fields, key) != have)
        vec_fail(v, "%s is %zu", key, have);
}

static void check_text(struct vec *v, const json_t *fields, const char *key, bytes have)
{
    if (vec_has(fields, key))
        vec_same(v, have, bytes_str(vec_text(fields, key)), key);
}

static bool is_zero(bytes b)
{
    for (size_t i = 0; i < b.len; i++) {
        if (b.at[i] != 0)
            return false;
    }
    return true;
}

/* Those that are not zero are listed. */
static void check_measurements(struct vec *v, const json_t *want, const struct nvgpu_report *r)
{
    size_t n = 0;
    for (unsigned i = 1; i <= NVGPU_INDEX_MAX; i++) {
        char key[16];
        BUF_AUTO hex = BUF(2 * NVGPU_DIGEST_LEN);
        (void)snprintf(key, sizeof key, "%u", i);
        if (is_zero(r->measurements[i]))
            continue;
        n++;
        vec_ok(v, text_hex_encode(&hex, r->measurements[i]), "hex");
        vec_same(v, buf_view(&hex), bytes_str(vec_text(want, key)), key);
    }
    if (n != json_object_size(want))
        vec_fail(v, "%zu measurements", n);
}

static void check_pdi(struct vec *v, const json_t *want, size_t i, bytes have)
{
    BUF_AUTO hex = BUF(2 * NVGPU_PDI_LEN);
    const char *text = json_string_value(json_array_get(want, i));
    vec_ok(v, text_hex_encode(&hex, have), "hex");
    vec_same(v, buf_view(&hex), bytes_str(text != NULL ? text : ""), "PDI");
}

static void check_switch_pdis(struct vec *v, const json_t *want, const struct nvgpu_report *r)
{
    uint8_t pdis[NVGPU_PDIS_MAX][NVGPU_PDI_LEN];
    size_t n = nvgpu_switch_pdis(r, pdis);
    if (n != json_array_size(want))
        vec_fail(v, "%zu switch PDIs", n);
    for (size_t i = 0; i < n; i++)
        check_pdi(v, want, i, BYTES_ARRAY(pdis[i]));
}

static void check_gpu_pdis(struct vec *v, const json_t *want, const struct nvgpu_report *r)
{
    bytes field = nvgpu_field(r, NVGPU_FIELD_GPU_PDIS);
    for (size_t i = 0; i < json_array_size(want); i++)
        check_pdi(v, want, i, bytes_slice(field, i * NVGPU_PDI_LEN, NVGPU_PDI_LEN));
}

static void check_types(struct vec *v, const json_t *want, const struct nvgpu_report *r)
{
    if (json_array_size(want) != r->fields_n)
        vec_fail(v, "%zu opaque fields", r->fields_n);
    for (size_t i = 0; i < r->fields_n; i++) {
        if (json_integer_value(json_array_get(want, i)) != r->fields[i].type)
            vec_fail(v, "opaque field %zu is of type %u", i, r->fields[i].type);
    }
}

static void check_report_fields(struct vec *v, const json_t *fields, bytes evidence,
                                const struct nvgpu_report *r)
{
    static const struct {
        const char *key;
        enum nvgpu_field_type type;
        bool text;
    } rows[] = {
        { "project", NVGPU_FIELD_PROJECT, true },
        { "project_sku", NVGPU_FIELD_PROJECT_SKU, true },
        { "chip_sku", NVGPU_FIELD_CHIP_SKU, true },
        { "chip_info", NVGPU_FIELD_CHIP_INFO, true },
        { "nvdec0_status", NVGPU_FIELD_NVDEC0, false },
        { "protected_pcie_status", NVGPU_FIELD_PROTECTED_PCIE, false },
        { "feature_flag", NVGPU_FIELD_FEATURE, false },
        { "opaque_version", NVGPU_FIELD_OPAQUE_VERSION, false },
        { "fwid", NVGPU_FIELD_FWID, false },
        { "device_pdi", NVGPU_FIELD_SWITCH_PDIS, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].text)
            check_text(v, fields, rows[i].key, nvgpu_field_text(r, rows[i].type));
        else
            check_hex(v, fields, rows[i].key, nvgpu_field(r, rows[i].type));
    }
    check_number(v, fields, "length", evidence.len);
    check_number(v, fields, "measurement_blocks", r->blocks_n);
    check_number(v, fields, "measurement_record_length", r->record_len);
    check_number(v, fields, "opaque_length", r->opaque_len);
    check_number(v, fields, "signed_bytes", r->signed_part.len);
    check_hex(v, fields, "request_nonce", r->request_nonce);
    check_hex(v, fields, "response_nonce", r->response_nonce);
    check_text(v, fields, "driver_version", bytes_str(r->driver));
    check_text(v, fields, "vbios_version", bytes_str(r->vbios));
    check_text(v, fields, "bios_version", bytes_str(r->vbios));
    if (vec_has(fields, "measurements"))
        check_measurements(v, json_object_get(fields, "measurements"), r);
    if (vec_has(fields, "opaque_types"))
        check_types(v, json_object_get(fields, "opaque_types"), r);
    if (vec_has(fields, "switch_pdis"))
        check_switch_pdis(v, json_object_get(fields, "switch_pdis"), r);
    if (vec_has(fields, "gpu_pdis"))
        check_gpu_pdis(v, json_object_get(fields, "gpu_pdis"), r);
}

static void check_leaf_fields(struct vec *v, const json_t *fields, const struct nvgpu_result *r)
{
    char date[32];
    check_text(v, fields, "leaf_common_name", bytes_str(r->model));
    check_text(v, fields, "leaf_subject_serial", bytes_str(r->leaf.serial_number));
    date_text(r->leaf.not_before, date);
    check_text(v, fields, "leaf_not_before", bytes_str(date));
}

static void check_fwid_fields(struct vec *v, const json_t *fields, const struct nvgpu_result *r)
{
    static const char *const oids[] = { "2.23.133.5.4.1", "2.23.133.5.4.1.1" };
    const json_t *list = json_object_get(fields, "leaf_fwid_extensions");
    unsigned want = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *oid = json_string_value(json_array_get(list, i));
        for (unsigned k = 0; k < ARRAY_LEN(oids); k++)
            want |= oid != NULL && strcmp(oid, oids[k]) == 0 ? 1U << k : 0;
    }
    if (list != NULL && want != r->fwid_extensions)
        vec_fail(v, "FWID extensions %u", r->fwid_extensions);
    if (json_is_true(json_object_get(fields, "fwid_in_leaf")) &&
        r->checks[NVGPU_CHECK_FWID].status != VERDICT_PASS)
        vec_fail(v, "the leaf has another FWID");
}

static void check_device_fields(struct vec *v, const json_t *one, bytes evidence,
                                const struct nvgpu_result *r)
{
    const json_t *fields = json_object_get(one, "fields");
    if (fields == NULL)
        return;
    if (r->checks[NVGPU_CHECK_FORM].status != VERDICT_PASS) {
        vec_fail(v, "its fields cannot be read");
        return;
    }
    check_report_fields(v, fields, evidence, &r->report);
    if (r->checks[NVGPU_CHECK_CHAIN].status == VERDICT_PASS)
        check_leaf_fields(v, fields, r);
    if (r->checks[NVGPU_CHECK_SIGNATURE].status == VERDICT_PASS)
        check_fwid_fields(v, fields, r);
}

/* What is stated of the signature and the chain, where we got as far as looking. */
static void check_stated(struct vec *v, const json_t *one, const struct nvgpu_result *r)
{
    if (json_is_true(json_object_get(one, "signature_valid")) &&
        r->checks[NVGPU_CHECK_SIGNATURE].status == VERDICT_FAIL)
        vec_fail(v, "the signature is refused");
    if (json_is_true(json_object_get(one, "chain_valid")) &&
        r->checks[NVGPU_CHECK_CHAIN].status == VERDICT_FAIL)
        vec_fail(v, "the chain is refused");
}

static void run_evidence(struct vec *v, const json_t *one, const json_t *all,
                         struct nvgpu_result *r)
{
    struct files f = { .n = 0 };
    struct nvgpu_device d = device_of(v, &f, one);
    struct x509_root root = root_of(v, one, all, "root");
    struct nvgpu_settings s = { &root, 1, vec_hex(v, one, "nonce"), time_of(v, one) };
    vec_ok(v, nvgpu_verify(&d, &s, r), "verification");
    judge(v, one, r->accepted, nvgpu_reason_word(r->reason));
    check_stated(v, one, r);
    check_device_fields(v, one, d.evidence, r);
    files_clear(&f);
}

/* Without a number all that are listed are expected. */
static void expect_all(struct nvgpu_node *node)
{
    for (size_t i = 0; i < node->devices_n; i++) {
        node->expected_gpus += node->devices[i].kind == NVGPU_GPU;
        node->expected_switches += node->devices[i].kind == NVGPU_SWITCH;
    }
}

static void run_node(struct vec *v, const json_t *one, const json_t *all, struct nvgpu_result *r)
{
    struct files f = { .n = 0 };
    struct nvgpu_device devices[NVGPU_DEVICES_MAX];
    const json_t *list = json_object_get(one, "devices");
    const json_t *expected = json_object_get(one, "expected_devices");
    struct x509_root root = root_of(v, one, all, "root");
    struct nvgpu_settings s = { &root, 1, vec_hex(v, one, "nonce"), time_of(v, one) };
    struct nvgpu_node node = { .devices = devices };
    enum nvgpu_reason why;
    size_t at;
    for (; node.devices_n < json_array_size(list) && node.devices_n < NVGPU_DEVICES_MAX;
         node.devices_n++)
        devices[node.devices_n] = device_of(v, &f, json_array_get(list, node.devices_n));
    if (expected != NULL) {
        node.expected_gpus = (size_t)vec_u64(v, expected, "gpus");
        node.expected_switches = (size_t)vec_u64(v, expected, "switches");
    } else {
        expect_all(&node);
    }
    vec_ok(v, nvgpu_node_verify(&node, &s, r, &why, &at), "verification");
    judge(v, one, why == NVGPU_OK, nvgpu_reason_word(why));
    for (size_t i = 0; why == NVGPU_OK && i < node.devices_n; i++)
        check_device_fields(v, json_array_get(list, i), devices[i].evidence, &r[i]);
    files_clear(&f);
}

/* --- NRAS -------------------------------------------------------------------------------------- */

static void check_json(struct vec *v, const json_t *want, bytes have, const char *what)
{
    json_t *tree = json_loadb((const char *)have.at, have.len, JSON_REJECT_DUPLICATES, NULL);
    if (tree == NULL || json_equal(tree, want) != 1)
        vec_fail(v, "%s differs", what);
    json_decref(tree);
}

static void check_token(struct vec *v, const json_t *want, const struct jws *have)
{
    check_json(v, json_object_get(want, "header"), jws_header_text(have), "header");
    check_json(v, json_object_get(want, "claims"), jws_claims_text(have), "claims");
}

static void check_tokens(struct vec *v, const json_t *fields, const struct nras_result *r)
{
    const json_t *devices = json_object_get(fields, "devices");
    if (r->overall != NULL)
        check_token(v, json_object_get(fields, "overall"), r->overall);
    if (json_object_size(devices) != r->devices_n)
        vec_fail(v, "%zu devices", r->devices_n);
    for (size_t i = 0; i < r->devices_n; i++) {
        BUF_AUTO name = BUF(64);
        vec_ok(v, buf_add(&name, r->devices[i].name), "name");
        check_token(v, json_object_get(devices, buf_str(&name)), r->devices[i].token);
    }
}

static void run_nras(struct vec *v, const json_t *one)
{
    bytes models[8];
    struct nras_result r;
    const json_t *prefixes = json_object_get(json_object_get(one, "policy"), "hwmodel_prefix");
    struct nras_query q = { .answer = vec_file(v, vec_text(one, "response")),
                            .jwks = vec_file(v, vec_text(one, "jwks")),
                            .issuer = bytes_str(vec_text(one, "issuer")),
                            .nonce = vec_hex(v, one, "nonce"),
                            .at_s = time_of(v, one),
                            .expected_gpus = (size_t)vec_u64(v, one, "expected_gpus"),
                            .models = models };
    for (; q.models_n < json_array_size(prefixes) && q.models_n < ARRAY_LEN(models); q.models_n++)
        models[q.models_n] = bytes_str(json_string_value(json_array_get(prefixes, q.models_n)));
    vec_ok(v, nras_verify(&q, &r), "verification");
    judge(v, one, r.reason == NRAS_OK, nras_reason_word(r.reason));
    if (vec_has(one, "fields") && r.reason == NRAS_OK)
        check_tokens(v, json_object_get(one, "fields"), &r);
    nras_clear(&r);
}

/* --- OCSP -------------------------------------------------------------------------------------- */

static void run_ocsp(struct vec *v, const json_t *one)
{
    struct files f = { .n = 0 };
    enum ocsp_outcome outcome;
    const struct pem_certs *cert = read_pem(v, &f, vec_text(one, "certificate"));
    const struct pem_certs *issuer = read_pem(v, &f, vec_text(one, "issuer"));
    struct ocsp_query q = { .response = vec_file(v, vec_text(one, "response")),
                            .certificate = cert->n > 0 ? cert->certs[0] : (bytes){ 0 },
                            .issuer = issuer->n > 0 ? issuer->certs[0] : (bytes){ 0 },
                            .nonce =
                                vec_has(one, "nonce") ? vec_hex(v, one, "nonce") : (bytes){ 0 },
                            .at_s = time_of(v, one) };
    vec_ok(v, ocsp_check(&q, &outcome), "check");
    judge(v, one, outcome == OCSP_IS_GOOD, ocsp_outcome_word(outcome));
    files_clear(&f);
}

/* --- manifests --------------------------------------------------------------------------------- */

static void check_flag(struct vec *v, const json_t *one, const char *key, bool have)
{
    const json_t *want = json_object_get(one, key);
    if (want != NULL && json_is_true(want) != have)
        vec_fail(v, "%s differs", key);
}

static void run_rim(struct vec *v, const json_t *one, const json_t *all)
{
    char from[32], until[32];
    struct nvgpu_rim *rim = mem_alloc(sizeof *rim);
    struct x509_root root = root_of(v, one, all, "rim_root");
    struct nvgpu_settings s = { &root, 1, { 0 }, time_of(v, one) };
    BUF_AUTO dates = BUF(128);
    if (rim == NULL)
        return;
    vec_ok(v, nvgpu_rim_verify(vec_file(v, vec_text(one, "file")), &s, rim), "verification");
    if (strcmp(vec_text(one, "expect"), rim->accepted ? "accept" : "reject") != 0)
        vec_fail(v, "%s", rim->accepted ? "accepted" : "refused");
    check_flag(v, one, "digest_valid", rim->digest_valid);
    check_flag(v, one, "signature_valid", rim->signature_valid);
    check_flag(v, one, "chain_valid", rim->chain_valid);
    check_flag(v, one, "root_is_pinned", rim->root_pinned);
    check_text(v, one, "version", bytes_str(rim->version));
    check_number(v, one, "active_measurements", rim->active_n);
    date_text(rim->not_before, from);
    date_text(rim->not_after, until);
    vec_ok(v, buf_addf(&dates, "%s .. %s", from, until), "dates");
    check_text(v, one, "certificates_valid", buf_view(&dates));
    nvgpu_rim_clear(rim);
    mem_free(rim);
}

/* --- the lists --------------------------------------------------------------------------------- */

static void run_one(struct vec *v, const char *list, const json_t *one, const json_t *all,
                    struct nvgpu_result *results)
{
    const char *id = vec_has(one, "id") ? vec_text(one, "id") : vec_text(one, "file");
    vec_begin(v, "%s: %s", list, id);
    if (strcmp(list, "evidence_cases") == 0)
        run_evidence(v, one, all, results);
    else if (strcmp(list, "node_cases") == 0)
        run_node(v, one, all, results);
    else if (strcmp(list, "nras_cases") == 0)
        run_nras(v, one);
    else if (strcmp(list, "ocsp_cases") == 0)
        run_ocsp(v, one);
    else if (strcmp(list, "rim_files") == 0)
        run_rim(v, one, all);
    else
        vec_fail(v, "a list of unknown cases");
    vec_end(v);
}

static bool run_file(struct vec *v, const json_t *root)
{
    const char *key;
    json_t *list, *one;
    size_t i;
    if (strcmp(vec_text(root, "platform"), "nvidia") != 0)
        return false;
    struct nvgpu_result *results = mem_alloc_array(NVGPU_DEVICES_MAX, sizeof *results);
    if (results == NULL)
        return false;
    json_object_foreach((json_t *)unconst(root), key, list)
    {
        json_array_foreach(list, i, one)
        {
            run_one(v, key, one, root, results);
        }
    }
    mem_free(results);
    return true;
}

int main(int argc, char **argv)
{
    return err_is_ok(crypto_init()) ? vec_main(argc, argv, run_file) : 1;
}
