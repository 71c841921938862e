#include "tests/unit/attest/recorded.h"

#include <stdio.h>

#include "attest/snp_parse.h"
#include "attest/snp_table.h"
#include "base/json.h"
#include "tests/lib/law.h"

enum { FILE_MAX = 1024 * 1024, PATH_LEN = 1024 };

static void add_file(struct buf *out, const char *platform, const struct json *name)
{
    char path[PATH_LEN];
    bytes text = { 0 };
    CHECK(json_text(name, &text));
    int n = snprintf(path, sizeof path, "%s/attest/%s/%.*s", law_vectors(), platform, (int)text.len,
                     (const char *)text.at);
    CHECK(n > 0 && n < PATH_LEN);
    law_read_file(out, path);
}

static void start(struct recorded *r, const char *platform, const struct json *c)
{
    bytes id = { 0 };
    bytes expect = { 0 };
    CHECK(json_text(json_get(c, "id"), &id) && id.len < sizeof r->id);
    CHECK(json_text(json_get(c, "expect"), &expect));
    CHECK(json_i64(json_get(c, "verify_time"), &r->at));
    memcpy(r->id, id.at, id.len);
    r->accepted = bytes_equal(expect, BYTES_LIT("accept"));
    r->evidence = r->carried = r->chain = BUF(FILE_MAX);
    for (size_t i = 0; i < COLLATERAL_KINDS; i++)
        r->body[i] = BUF(FILE_MAX);
    r->bundle.platform = bytes_str(platform);
}

static void read_tdx(struct recorded *r, const struct json *c)
{
    const struct json *files = json_get(c, "collateral");
    add_file(&r->evidence, "tdx", json_get(c, "quote"));
    add_file(&r->body[COLLATERAL_TCB_INFO], "tdx", json_get(files, "tcb_info"));
    add_file(&r->body[COLLATERAL_QE_IDENTITY], "tdx", json_get(files, "qe_identity"));
    add_file(&r->body[COLLATERAL_PCK_CRL], "tdx", json_get(files, "pck_crl"));
    add_file(&r->body[COLLATERAL_ROOT_CRL], "tdx", json_get(files, "root_ca_crl"));
    add_file(&r->chain, "tdx", json_get(files, "tcb_signing_chain"));
}

static void read_snp(struct recorded *r, const struct json *c)
{
    struct snp_report report;
    const struct json *chain = json_get(c, "chain");
    add_file(&r->evidence, "sev-snp", json_get(c, "report"));
    add_file(&r->body[COLLATERAL_SNP_VCEK], "sev-snp", json_get(c, "leaf"));
    add_file(&r->body[COLLATERAL_SNP_CRL], "sev-snp", json_get(c, "crl"));
    for (size_t i = 0; i < json_len(chain); i++)
        add_file(&r->body[COLLATERAL_SNP_CHAIN], "sev-snp", json_at(chain, i));
    CHECK_OK(snp_report_read(buf_view(&r->evidence), &report));
    r->vlek = report.signing_key == SNP_KEY_VLEK;
    r->says_line = report.product != SNP_UNKNOWN;
    if (!r->vlek)
        return;
    const struct snp_entry leaf = { SNP_ENTRY_VLEK, buf_view(&r->body[COLLATERAL_SNP_VCEK]) };
    CHECK_OK(snp_table_write(&r->carried, &leaf, 1));
    r->bundle.collateral = buf_view(&r->carried);
}

static void read_case(struct recorded *r, const char *platform, const struct json *c)
{
    *r = (struct recorded){ 0 };
    start(r, platform, c);
    if (strcmp(platform, "tdx") == 0)
        read_tdx(r, c);
    else
        read_snp(r, c);
    r->bundle.evidence = buf_view(&r->evidence);
}

static struct json *open_cases(const char *platform)
{
    char path[PATH_LEN];
    struct json *root;
    BUF_AUTO text = BUF(FILE_MAX);
    (void)snprintf(path, sizeof path, "%s/attest/%s/cases.json", law_vectors(), platform);
    law_read_file(&text, path);
    CHECK_OK(json_read(&root, buf_view(&text), JSON_DEPTH_MAX));
    return root;
}

static bool has(const struct json *c, const char *key, const char *value)
{
    bytes text = { 0 };
    return json_text(json_get(c, key), &text) && bytes_equal(text, bytes_str(value));
}

bool recorded_each(const char *platform, void (*see)(const struct recorded *r))
{
    struct recorded r;
    if (law_vectors() == NULL)
        return false;
    struct json *root = open_cases(platform);
    const struct json *cases = json_get(root, "cases");
    for (size_t i = 0; i < json_len(cases); i++) {
        const struct json *c = json_at(cases, i);
        if (!has(c, "kind", "genuine"))
            continue;
        read_case(&r, platform, c);
        see(&r);
        recorded_close(&r);
    }
    json_free(root);
    return true;
}

void recorded_open(struct recorded *out, const char *platform, const char *id)
{
    struct json *root = open_cases(platform);
    const struct json *cases = json_get(root, "cases");
    size_t i = 0;
    while (i < json_len(cases) && !has(json_at(cases, i), "id", id))
        i++;
    if (i == json_len(cases))
        fail_msg("no case %s", id);
    read_case(out, platform, json_at(cases, i));
    json_free(root);
}

void recorded_close(struct recorded *r)
{
    for (size_t i = 0; i < COLLATERAL_KINDS; i++)
        buf_clear(&r->body[i]);
    buf_clear(&r->evidence);
    buf_clear(&r->carried);
    buf_clear(&r->chain);
}

void recorded_pieces(const struct recorded *r, const struct collateral_plan *plan,
                     struct collateral_piece *out)
{
    for (size_t i = 0; i < plan->n; i++) {
        enum collateral_kind kind = plan->needs[i].kind;
        CHECK(r->body[kind].len > 0);
        out[i].body = buf_view(&r->body[kind]);
        out[i].chain = collateral_header(kind) != NULL ? buf_view(&r->chain) : (bytes){ 0 };
    }
}
