/* The attester over a tree and a device that are made here; their report is forged, with a root that
 * only this test trusts, so that what is made can be verified. */
#include <errno.h>
#include <linux/sev-guest.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "attest/snp_attest.h"
#include "crypto/init.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/snp_forge.h"

static struct snp_forge forge;
static struct buf table;     /* what the host hands out */
static bool wrong_data;      /* the report is over other bytes than those asked for */
static const char *provider; /* of the tree */
static char tree_folder[64]; /* only has to exist */
static char told_level[8];
static uint64_t generation;
static unsigned tree_reads;

static void sign_over(const uint8_t *report_data)
{
    memcpy(forge.report + 0x50, report_data, 64);
    if (wrong_data)
        forge.report[0x50] ^= 1;
    snp_forge_sign(&forge);
}

/* --- the tree -------------------------------------------------------------------------------- */

static int tree_make(const struct tsm_tree *t, const char *name)
{
    (void)t;
    (void)name;
    return 0;
}

static void tree_remove(const struct tsm_tree *t, const char *name)
{
    (void)t;
    (void)name;
}

static void tree_wait(const struct tsm_tree *t, unsigned ms)
{
    (void)t;
    (void)ms;
}

static int tree_write(const struct tsm_tree *t, const char *name, const char *attribute,
                      bytes value)
{
    (void)t;
    (void)name;
    generation++;
    if (strcmp(attribute, "inblob") == 0)
        sign_over(value.at);
    else
        (void)snprintf(told_level, sizeof told_level, "%.*s", (int)value.len,
                       (const char *)value.at);
    return 0;
}

static int tree_read(const struct tsm_tree *t, const char *name, const char *attribute,
                     struct buf *out)
{
    char number[24];
    (void)t;
    (void)name;
    tree_reads++;
    (void)snprintf(number, sizeof number, "%llu\n", (unsigned long long)generation);
    bytes value = strcmp(attribute, "outblob") == 0    ? BYTES_ARRAY(forge.report)
                  : strcmp(attribute, "auxblob") == 0  ? buf_view(&table)
                  : strcmp(attribute, "provider") == 0 ? bytes_str(provider)
                                                       : bytes_str(number);
    return err_is_ok(buf_add(out, value)) ? 0 : ENOMEM;
}

/* --- the device ------------------------------------------------------------------------------ */

static int control(int fd, unsigned long code, void *argument)
{
    struct snp_guest_request_ioctl *m = argument;
    struct snp_ext_report_req *request = (void *)(uintptr_t)m->req_data;
    struct snp_report_resp *response = (void *)(uintptr_t)m->resp_data;
    CHECK(fd >= 0 && code == SNP_GET_EXT_REPORT);
    CHECK(request->certs_len >= table.len);
    if (table.len > 0)
        memcpy((void *)(uintptr_t)request->certs_address, table.at, table.len);
    sign_over(request->data.user_data);
    (void)snprintf(told_level, sizeof told_level, "%u", request->data.vmpl);
    memset(response->data, 0, 8);
    response->data[4] = SNP_REPORT_LEN & 0xff;
    response->data[5] = SNP_REPORT_LEN >> 8;
    memcpy(response->data + 32, forge.report, SNP_REPORT_LEN);
    return 0;
}

static struct snp_attest_settings settings(bool with_tree)
{
    return (struct snp_attest_settings){
        .tsm = { tree_make, tree_write, tree_read, tree_remove, tree_wait,
                 with_tree ? tree_folder : NULL },
        .guest = { .path = "/dev/null", .control = control },
        .vmpl = SNP_VMPL_DEFAULT,
    };
}

/* --- */

static int open_all(void **state)
{
    (void)state;
    snp_forge_open(&forge);
    snp_forge_make(&forge);
    table = BUF(SNP_TABLE_MAX);
    snp_forge_table(&forge, &table);
    wrong_data = false;
    provider = "sev_guest\n";
    told_level[0] = '\0';
    tree_reads = 0;
    (void)snprintf(tree_folder, sizeof tree_folder, "/tmp/sealgate-test-XXXXXX");
    return mkdtemp(tree_folder) != NULL && err_is_ok(crypto_init()) ? 0 : -1;
}

static int close_all(void **state)
{
    (void)state;
    (void)rmdir(tree_folder);
    buf_clear(&table);
    snp_forge_close(&forge);
    return 0;
}

static err make(const struct snp_attest_settings *s, struct buf *document)
{
    struct attester *a = NULL;
    uint8_t identity[32] = { 7 };
    uint8_t nonce[32] = { 9 };
    struct attester_subject subject = { BYTES_ARRAY(identity), BYTES_ARRAY(nonce),
                                        BYTES_LIT("claims") };
    TRY(snp_attester_new(&a, s));
    CHECK(bytes_equal(bytes_str(a->kind->platform), BYTES_LIT("sev-snp")));
    err e = attester_document(a, &subject, SNP_FORGE_NOW, document);
    attester_free(a);
    return e;
}

/* The document's evidence holds, and is over the binding of what stands beside it. */
static void verify_document(bytes document)
{
    struct bundle b;
    struct snp_collateral c = { 0 };
    struct snp_result result;
    uint8_t expected[BINDING_LEN];
    CHECK_OK(evidence_document_read(document, &b));
    CHECK_OK(snp_collateral_read(&c, b.collateral));
    CHECK_OK(snp_verify(b.evidence, &c, &forge.settings, &result));
    if (!result.accepted)
        fail_msg("refused: %s", result.failed);
    binding_digest(
        &(struct binding){
            .platform = b.platform, .identity = b.identity, .nonce = b.nonce, .claims = b.claims },
        expected);
    CHECK_BYTES(result.report.report_data, BYTES_ARRAY(expected));
    snp_collateral_clear(&c);
}

static void the_tree_is_preferred(void **state)
{
    (void)state;
    BUF_AUTO document = BUF(BUNDLE_MAX);
    struct snp_attest_settings s = settings(true);
    CHECK(snp_attest_way(&s) == SNP_WAY_TSM);
    CHECK_OK(make(&s, &document));
    CHECK(tree_reads > 0 && told_level[0] == '\0');
    verify_document(buf_view(&document));
}

static void without_a_tree_the_device_is_asked(void **state)
{
    (void)state;
    BUF_AUTO document = BUF(BUNDLE_MAX);
    struct snp_attest_settings s = settings(false);
    CHECK(snp_attest_way(&s) == SNP_WAY_GUEST);
    CHECK_OK(make(&s, &document));
    CHECK(tree_reads == 0);
    verify_document(buf_view(&document));
}

static void a_tree_of_another_platform_is_left_alone(void **state)
{
    (void)state;
    BUF_AUTO document = BUF(BUNDLE_MAX);
    struct snp_attest_settings s = settings(true);
    provider = "tdx_guest\n";
    CHECK_OK(make(&s, &document));
    verify_document(buf_view(&document));
}

static void the_vmpl_is_passed_on(void **state)
{
    (void)state;
    BUF_AUTO one = BUF(BUNDLE_MAX);
    BUF_AUTO two = BUF(BUNDLE_MAX);
    struct snp_attest_settings s = settings(true);
    s.vmpl = 2;
    CHECK_OK(make(&s, &one));
    assert_string_equal(told_level, "2");
    s.tsm.base = NULL;
    s.vmpl = SNP_VMPL_DEFAULT;
    CHECK_OK(make(&s, &two));
    assert_string_equal(told_level, "0");
    s.vmpl = 4;
    CHECK_ERR(make(&s, &two), CONFIG);
    s.vmpl = -2;
    CHECK_ERR(make(&s, &two), CONFIG);
}

static void a_report_over_other_bytes_is_not_passed_on(void **state)
{
    (void)state;
    BUF_AUTO document = BUF(BUNDLE_MAX);
    struct snp_attest_settings s = settings(true);
    wrong_data = true;
    CHECK_ERR(make(&s, &document), UNAVAILABLE);
    CHECK(document.len == 0);
    wrong_data = false;
    forge.report[0] = 9;
    CHECK_ERR(make(&s, &document), UNSUPPORTED);
}

static void a_table_that_cannot_be_read_is_left_out(void **state)
{
    (void)state;
    struct bundle b;
    BUF_AUTO document = BUF(BUNDLE_MAX);
    struct snp_attest_settings s = settings(true);
    buf_truncate(&table, 20);
    CHECK_OK(make(&s, &document));
    CHECK_OK(evidence_document_read(buf_view(&document), &b));
    CHECK(b.collateral.len == 0);
    buf_truncate(&document, 0);
    buf_truncate(&table, 0);
    CHECK_OK(make(&s, &document));
    CHECK_OK(evidence_document_read(buf_view(&document), &b));
    CHECK(b.collateral.len == 0);
}

static void a_table_travels_without_the_rest_of_its_pages(void **state)
{
    (void)state;
    struct bundle b;
    BUF_AUTO document = BUF(BUNDLE_MAX);
    struct snp_attest_settings s = settings(true);
    size_t len = table.len;
    CHECK_OK(buf_add_zeros(&table, 8192));
    CHECK_OK(make(&s, &document));
    CHECK_OK(evidence_document_read(buf_view(&document), &b));
    CHECK(b.collateral.len == len);
}

static err add_one(void *owner, bytes report, bytes host, int64_t now, struct buf *out)
{
    CHECK(report.len == SNP_REPORT_LEN && host.len > 0 && now == SNP_FORGE_NOW);
    return buf_add_str(out, owner);
}

static err add_none(void *owner, bytes report, bytes host, int64_t now, struct buf *out)
{
    (void)owner;
    (void)report;
    (void)host;
    (void)now;
    (void)out;
    FAIL(UNAVAILABLE);
}

static void others_may_add_what_is_missing(void **state)
{
    (void)state;
    struct bundle b;
    char word[] = "whole table";
    BUF_AUTO document = BUF(BUNDLE_MAX);
    struct snp_attest_settings s = settings(true);
    s.collateral = add_one;
    s.collateral_owner = word;
    CHECK_OK(make(&s, &document));
    CHECK_OK(evidence_document_read(buf_view(&document), &b));
    CHECK_BYTES(b.collateral, BYTES_LIT("whole table"));
    s.collateral = add_none;
    CHECK_ERR(make(&s, &document), UNAVAILABLE);
}

static void without_a_device_there_is_no_attester(void **state)
{
    (void)state;
    struct attester *a = NULL;
    struct snp_attest_settings s = settings(true);
    s.guest.path = "/nonexistent/sev-guest";
    CHECK(snp_attest_way(&s) == SNP_WAY_NONE);
    CHECK_ERR(snp_attester_new(&a, &s), UNAVAILABLE);
    CHECK(a == NULL);
}

static err make_once(void *arg)
{
    BUF_AUTO document = BUF(BUNDLE_MAX);
    return make(arg, &document);
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    struct snp_attest_settings s = settings(false);
    law_every_allocation_fails_once(make_once, &s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_tree_is_preferred),
        TEST(without_a_tree_the_device_is_asked),
        TEST(a_tree_of_another_platform_is_left_alone),
        TEST(the_vmpl_is_passed_on),
        TEST(a_report_over_other_bytes_is_not_passed_on),
        TEST(a_table_that_cannot_be_read_is_left_out),
        TEST(a_table_travels_without_the_rest_of_its_pages),
        TEST(others_may_add_what_is_missing),
        TEST(without_a_device_there_is_no_attester),
        TEST(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
