#include <stdio.h>

#include "attest/tdx_tcb.h"
#include "base/text.h"
#include "tests/lib/law.h"

#define ZEROS48                                                                                    \
    "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000" \
    "0000"
#define MODULE                                                                                     \
    "\"mrsigner\":\"" ZEROS48                                                                      \
    "\",\"attributes\":\"0000000000000000\","                                                      \
    "\"attributesMask\":\"FFFFFFFFFFFFFFFF\""
#define HEAD                                                                                       \
    "{\"id\":\"TDX\",\"version\":3,\"issueDate\":\"2026-02-01T00:00:00Z\",\"nextUpdate\":"         \
    "\"2026-03-01T00:00:00Z\",\"fmspc\":\"90C06F000000\",\"pceId\":\"0000\",\"tcbType\":0,"        \
    "\"tcbEvaluationDataNumber\":18,\"tdxModule\":{" MODULE "},"
#define STATE(word) "\"tcbDate\":\"2024-11-13T00:00:00Z\",\"tcbStatus\":\"" word "\""

/* A level whose sixteen components of either kind are these. */
static void put_level(struct buf *out, unsigned sgx, unsigned tdx, unsigned pcesvn,
                      const char *word)
{
    CHECK_OK(buf_addf(out, "{\"tcb\":{\"pcesvn\":%u,", pcesvn));
    for (unsigned kind = 0; kind < 2; kind++) {
        CHECK_OK(buf_addf(out, "%s\"%stcbcomponents\":[", kind > 0 ? "," : "",
                          kind > 0 ? "tdx" : "sgx"));
        for (unsigned i = 0; i < TDX_COMPONENTS; i++)
            CHECK_OK(buf_addf(out, "%s{\"svn\":%u}", i > 0 ? "," : "", kind > 0 ? tdx : sgx));
        CHECK_OK(buf_add_u8(out, ']'));
    }
    CHECK_OK(buf_addf(out, "},\"tcbDate\":\"2024-11-13T00:00:00Z\",\"tcbStatus\":\"%s\"}", word));
}

static struct buf document(const char *modules)
{
    struct buf out = BUF(64 * 1024);
    CHECK_OK(buf_addf(&out, "%s%s\"tcbLevels\":[", HEAD, modules));
    put_level(&out, 5, 5, 13, "UpToDate");
    CHECK_OK(buf_add_u8(&out, ','));
    put_level(&out, 3, 3, 11, "OutOfDate");
    CHECK_OK(buf_add_str(&out, "]}"));
    return out;
}

static struct tdx_tcb_info *info_of(const char *modules)
{
    struct tdx_tcb_info *info = NULL;
    struct buf text = document(modules);
    CHECK_OK(tdx_tcb_info_read(&info, buf_view(&text)));
    buf_clear(&text);
    return info;
}

static struct tdx_pck pck_of(uint16_t svn, uint16_t pcesvn)
{
    struct tdx_pck p = { .pcesvn = pcesvn };
    for (size_t i = 0; i < TDX_COMPONENTS; i++)
        p.components[i] = svn;
    return p;
}

static enum tdx_status found(const struct tdx_tcb_info *info, const struct tdx_pck *pck, bytes svn)
{
    const struct tdx_tcb_level *level = tdx_level_find(info, pck, svn);
    return level != NULL ? level->level.status : TDX_STATUS_NONE;
}

static void the_first_level_that_every_component_reaches_decides(void **state)
{
    (void)state;
    struct tdx_tcb_info *info = info_of("");
    uint8_t svn[16];
    memset(svn, 5, sizeof svn);
    svn[1] = 0;
    struct tdx_pck pck = pck_of(5, 13);
    /* With svn[1] at 0 the first two count, and the level asks for 5. */
    CHECK(found(info, &pck, BYTES_ARRAY(svn)) == TDX_STATUS_NONE);
    svn[1] = 9;
    svn[0] = 0;
    CHECK(found(info, &pck, BYTES_ARRAY(svn)) == TDX_STATUS_UP_TO_DATE);
    pck.pcesvn = 12;
    CHECK(found(info, &pck, BYTES_ARRAY(svn)) == TDX_STATUS_OUT_OF_DATE);
    pck = pck_of(5, 13);
    for (size_t i = 0; i < TDX_COMPONENTS; i++) {
        pck.components[i] = 4;
        CHECK(found(info, &pck, BYTES_ARRAY(svn)) == TDX_STATUS_OUT_OF_DATE);
        pck.components[i] = 2;
        CHECK(found(info, &pck, BYTES_ARRAY(svn)) == TDX_STATUS_NONE);
        pck.components[i] = 5;
    }
    for (size_t i = 2; i < TDX_COMPONENTS; i++) {
        svn[i] = 4;
        CHECK(found(info, &pck, BYTES_ARRAY(svn)) == TDX_STATUS_OUT_OF_DATE);
        svn[i] = 5;
    }
    CHECK(found(info, &pck, bytes_of(svn, 15)) == TDX_STATUS_NONE);
    tdx_tcb_info_free(info);
}

static void a_module_is_found_by_its_version(void **state)
{
    (void)state;
    struct tdx_tcb_info *info =
        info_of("\"tdxModuleIdentities\":[{\"id\":\"TDX_01\"," MODULE
                ",\"tcbLevels\":[{\"tcb\":{\"isvsvn\":6}," STATE("UpToDate") "},"
                "{\"tcb\":{\"isvsvn\":4}," STATE("OutOfDate") "}]},"
                "{\"id\":\"TDX_0A\"," MODULE ",\"tcbLevels\":[]}],");
    uint8_t svn[16] = { 0 };
    CHECK(tdx_module_find(info, BYTES_ARRAY(svn)) == &info->module);
    svn[1] = 1;
    const struct tdx_module *m = tdx_module_find(info, BYTES_ARRAY(svn));
    CHECK(m == &info->modules[0]);
    CHECK(tdx_svn_level_find(&m->levels, 6)->level.status == TDX_STATUS_UP_TO_DATE);
    CHECK(tdx_svn_level_find(&m->levels, 5)->level.status == TDX_STATUS_OUT_OF_DATE);
    CHECK(tdx_svn_level_find(&m->levels, 3) == NULL);
    svn[1] = 10;
    CHECK(tdx_module_find(info, BYTES_ARRAY(svn)) == &info->modules[1]);
    svn[1] = 2;
    CHECK(tdx_module_find(info, BYTES_ARRAY(svn)) == NULL);
    tdx_tcb_info_free(info);
}

static void statuses_of_parts_are_put_together_as_intel_does(void **state)
{
    (void)state;
    static const struct {
        const char *platform;
        const char *part;
        const char *both;
    } rows[] = {
        { "UpToDate", "UpToDate", "UpToDate" },
        { "UpToDate", "OutOfDate", "OutOfDate" },
        { "SWHardeningNeeded", "UpToDate", "SWHardeningNeeded" },
        { "SWHardeningNeeded", "OutOfDate", "OutOfDate" },
        { "ConfigurationNeeded", "OutOfDate", "OutOfDateConfigurationNeeded" },
        { "ConfigurationAndSWHardeningNeeded", "OutOfDate", "OutOfDateConfigurationNeeded" },
        { "ConfigurationAndSWHardeningNeeded", "UpToDate", "ConfigurationAndSWHardeningNeeded" },
        { "OutOfDateConfigurationNeeded", "UpToDate", "OutOfDateConfigurationNeeded" },
        { "OutOfDate", "UpToDate", "OutOfDate" },
        { "UpToDate", "Revoked", "Revoked" },
        { "Revoked", "OutOfDate", "Revoked" },
        { "UpToDate", "unheard-of", "" },
        { "Revoked", "unheard-of", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum tdx_status a = tdx_status_read(bytes_str(rows[i].platform));
        enum tdx_status b = tdx_status_read(bytes_str(rows[i].part));
        assert_string_equal(tdx_status_word(tdx_status_merge(a, b)), rows[i].both);
        CHECK(tdx_status_merge(a, b) == tdx_status_merge(b, a));
    }
}

/* The document with one piece of text replaced; the same when it has none. */
static err read_replaced(const char *from, const char *to)
{
    struct tdx_tcb_info *info = NULL;
    struct buf text = document("");
    struct buf other = BUF(64 * 1024);
    size_t at = text_find(buf_view(&text), bytes_str(from));
    CHECK(at < text.len);
    CHECK_OK(buf_add(&other, bytes_slice(buf_view(&text), 0, at)));
    CHECK_OK(buf_add_str(&other, to));
    CHECK_OK(buf_add(&other, bytes_slice(buf_view(&text), at + strlen(from), text.len)));
    err e = tdx_tcb_info_read(&info, buf_view(&other));
    CHECK((info != NULL) == err_is_ok(e));
    tdx_tcb_info_free(info);
    buf_clear(&text);
    buf_clear(&other);
    return e;
}

static void documents_that_are_not_as_they_must_be_are_refused(void **state)
{
    (void)state;
    CHECK_OK(read_replaced("UpToDate", "Revoked"));
    CHECK_ERR(read_replaced("UpToDate", "Uptodate"), MALFORMED);
    CHECK_ERR(read_replaced("\"TDX\"", "\"SGX\""), UNSUPPORTED);
    CHECK_ERR(read_replaced("\"version\":3", "\"version\":2"), UNSUPPORTED);
    CHECK_ERR(read_replaced("\"tcbType\":0", "\"tcbType\":1"), UNSUPPORTED);
    CHECK_ERR(read_replaced("\"version\":3", "\"version\":3,\"version\":3"), MALFORMED);
    CHECK_ERR(read_replaced("90C06F000000", "90C06F0000"), MALFORMED);
    CHECK_ERR(read_replaced("2026-02-01T00", "2026-02-30T00"), MALFORMED);
    CHECK_ERR(read_replaced("{\"svn\":5},", ""), MALFORMED);
    CHECK_ERR(read_replaced("{\"svn\":5}", "{\"svn\":65536}"), MALFORMED);
    CHECK_ERR(read_replaced("{\"svn\":5}", "{\"svn\":-1}"), MALFORMED);
    CHECK_ERR(read_replaced("{\"svn\":5}", "{\"svn\":\"5\"}"), MALFORMED);
    CHECK_ERR(read_replaced("\"tdxModule\"", "\"tdxModuleX\""), MALFORMED);
    CHECK_ERR(read_replaced("\"tcbLevels\"", "\"tcblevels\""), MALFORMED);
}

static void limits_are_taken_and_one_more_is_refused(void **state)
{
    (void)state;
    for (size_t n = TDX_TCB_LEVELS_MAX; n <= TDX_TCB_LEVELS_MAX + 1; n++) {
        struct tdx_tcb_info *info = NULL;
        struct buf text = BUF(TDX_TCB_INFO_MAX);
        CHECK_OK(buf_addf(&text, "%s\"tcbLevels\":[", HEAD));
        for (size_t i = 0; i < n; i++) {
            put_level(&text, 1, 1, 1, "UpToDate");
            CHECK_OK(buf_add_str(&text, i + 1 < n ? "," : "]}"));
        }
        err e = tdx_tcb_info_read(&info, buf_view(&text));
        CHECK(e.code == (n == TDX_TCB_LEVELS_MAX ? ERR_OK : ERR_LIMIT));
        tdx_tcb_info_free(info);
        buf_clear(&text);
    }
    struct tdx_tcb_info *info = NULL;
    struct buf text = document("");
    text.max = TDX_TCB_INFO_MAX + 1;
    while (text.len < TDX_TCB_INFO_MAX)
        CHECK_OK(buf_add_u8(&text, ' '));
    CHECK_OK(tdx_tcb_info_read(&info, buf_view(&text)));
    tdx_tcb_info_free(info);
    CHECK_OK(buf_add_u8(&text, ' '));
    CHECK_ERR(tdx_tcb_info_read(&info, buf_view(&text)), LIMIT);
    buf_clear(&text);
}

static void masks_are_applied_to_the_value_only(void **state)
{
    (void)state;
    CHECK(tdx_masked_equal(BYTES_LIT("\xff"), BYTES_LIT("\x0f"), BYTES_LIT("\x0f")));
    CHECK(!tdx_masked_equal(BYTES_LIT("\x0f"), BYTES_LIT("\x0f"), BYTES_LIT("\xff")));
    CHECK(!tdx_masked_equal(BYTES_LIT("\x01"), BYTES_LIT("\x01\x01"), BYTES_LIT("\x01")));
    CHECK(!tdx_masked_equal(BYTES_LIT("\x01"), BYTES_LIT("\x01"), BYTES_LIT("\x01\x01")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_level_that_every_component_reaches_decides),
        cmocka_unit_test(a_module_is_found_by_its_version),
        cmocka_unit_test(statuses_of_parts_are_put_together_as_intel_does),
        cmocka_unit_test(documents_that_are_not_as_they_must_be_are_refused),
        cmocka_unit_test(limits_are_taken_and_one_more_is_refused),
        cmocka_unit_test(masks_are_applied_to_the_value_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
