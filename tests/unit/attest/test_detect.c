/* Machines of every kind, as trees of files. */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attest/detect.h"
#include "attest/verifier.h"
#include "base/json.h"
#include "base/text.h"
#include "tests/lib/law.h"

#define TSM "/sys/kernel/config/tsm/report/"

static char root[64];

static void path_of(const char *path, char out[static 512])
{
    CHECK(snprintf(out, 512, "%s%s", root, path) < 512);
}

/* All folders above the last slash. */
static void make_folders(const char *path)
{
    char full[512];
    path_of(path, full);
    for (size_t i = strlen(root) + 1; full[i] != '\0'; i++) {
        if (full[i] != '/')
            continue;
        full[i] = '\0';
        (void)mkdir(full, 0700);
        full[i] = '/';
    }
}

/* A path that ends with a slash is a folder. */
static void make(const char *path, const char *content)
{
    char full[512];
    make_folders(path);
    if (path[strlen(path) - 1] == '/')
        return;
    path_of(path, full);
    FILE *f = fopen(full, "w");
    CHECK(f != NULL && fputs(content, f) >= 0 && fclose(f) == 0);
}

static void take_away(const char *path)
{
    char full[512];
    path_of(path, full);
    CHECK(unlink(full) == 0 || rmdir(full) == 0);
}

static int open_root(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof root, "/tmp/sealgate-test-XXXXXX");
    return mkdtemp(root) != NULL ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *walk)
{
    (void)s;
    (void)type;
    (void)walk;
    return remove(path);
}

static int close_root(void **state)
{
    (void)state;
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct detect look(void)
{
    struct detect d;
    CHECK_OK(detect_look(root, &d));
    return d;
}

static void finds(const char *platform, enum detect_state state, const char *way)
{
    struct detect d = look();
    const struct detect_finding *f = detect_find(&d, bytes_str(platform));
    CHECK(f != NULL && f->state == state);
    CHECK((f->way == NULL) == (way == NULL));
    if (way != NULL)
        assert_string_equal(f->way, way);
    CHECK((f->found != NULL) == (state != DETECT_ABSENT));
    CHECK((f->driver != NULL) == (state != DETECT_ABSENT));
    CHECK((f->advice[0] != '\0') == (state == DETECT_UNUSABLE));
}

static void chooses(const char *platform)
{
    struct detect d = look();
    if (platform == NULL) {
        CHECK(d.choice == NULL && d.choice_way == NULL);
        return;
    }
    CHECK(d.choice != NULL);
    assert_string_equal(d.choice, platform);
    assert_string_equal(d.choice_way, detect_find(&d, bytes_str(platform))->way);
}

static void a_machine_without_a_tee_has_none_and_nothing_takes_its_place(void **state)
{
    (void)state;
    struct detect d;
    make("/dev/null", "");
    make(TSM, "");
    make("/dev/vsock", "");
    d = look();
    for (size_t i = 0; i < d.n; i++)
        CHECK(d.findings[i].state == DETECT_ABSENT);
    chooses(NULL);
    CHECK(detect_find(&d, BYTES_LIT("simulated")) == NULL);
}

static void an_snp_guest_is_told_by_its_device(void **state)
{
    (void)state;
    make("/sys/class/misc/sev-guest/", "");
    finds("sev-snp", DETECT_UNUSABLE, NULL);
    chooses(NULL);
    make("/dev/sev-guest", "");
    finds("sev-snp", DETECT_READY, "/dev/sev-guest");
    make(TSM, "");
    finds("sev-snp", DETECT_READY, "configfs-tsm");
    finds("tdx", DETECT_ABSENT, NULL);
    chooses("sev-snp");
}

static void a_td_is_told_by_its_device_old_or_new(void **state)
{
    (void)state;
    make("/dev/tdx-guest", "");
    finds("tdx", DETECT_UNUSABLE, NULL);
    make("/dev/vsock", "");
    finds("tdx", DETECT_READY, "/dev/tdx-guest and a quoting service");
    take_away("/dev/tdx-guest");
    make("/dev/tdx_guest", "");
    finds("tdx", DETECT_READY, "/dev/tdx_guest and a quoting service");
    make(TSM, "");
    finds("tdx", DETECT_READY, "configfs-tsm");
    take_away("/dev/vsock");
    finds("tdx", DETECT_READY, "configfs-tsm");
    finds("sev-snp", DETECT_ABSENT, NULL);
    chooses("tdx");
}

static void a_nitro_enclave_is_told_by_its_device(void **state)
{
    (void)state;
    make("/sys/class/misc/nsm/", "");
    finds("nitro", DETECT_UNUSABLE, NULL);
    make("/dev/nsm", "");
    finds("nitro", DETECT_READY, "/dev/nsm");
    chooses("nitro");
}

static void a_vm_on_azure_is_told_by_its_tag_and_its_tpm(void **state)
{
    (void)state;
    make("/dev/tpmrm0", "");
    finds("azure-sev-snp", DETECT_ABSENT, NULL);
    make("/sys/class/dmi/id/chassis_asset_tag", "7783-0000\n");
    finds("azure-sev-snp", DETECT_ABSENT, NULL);
    make("/sys/class/dmi/id/chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77\n");
    finds("azure-sev-snp", DETECT_READY, "the TPM, if this is a confidential VM");
    chooses("azure-sev-snp");
    make("/dev/sev-guest", ""); /* no paravisor in between */
    chooses("sev-snp");
    take_away("/dev/tpmrm0");
    finds("azure-sev-snp", DETECT_ABSENT, NULL);
}

/* Root may open everything, so it looks as nobody for a moment. */
static void a_device_that_is_not_open_to_us_is_no_way(void **state)
{
    (void)state;
    enum { NOBODY = 65534 };
    bool is_root = geteuid() == 0;
    char full[512];
    make("/dev/nsm", "");
    path_of("/dev/nsm", full);
    CHECK(chmod(full, 0) == 0);
    if (is_root && setreuid(NOBODY, (uid_t)-1) != 0)
        skip();
    struct detect d = look();
    if (is_root)
        CHECK(setreuid(0, (uid_t)-1) == 0);
    const struct detect_finding *f = detect_find(&d, BYTES_LIT("nitro"));
    CHECK(f->state == DETECT_UNUSABLE && f->way == NULL && d.choice == NULL);
    assert_string_equal(f->found, "/dev/nsm");
}

static void one_that_is_ready_is_chosen_before_one_that_is_not(void **state)
{
    (void)state;
    make("/sys/class/misc/tdx_guest/", "");
    make("/dev/sev-guest", "");
    finds("tdx", DETECT_UNUSABLE, NULL);
    chooses("sev-snp");
}

/* A platform that is found can be verified, or the worker would make what nobody takes. */
static void every_platform_found_has_a_verifier_that_proves_something(void **state)
{
    (void)state;
    struct detect d = look();
    CHECK(d.n > 0);
    for (size_t i = 0; i < d.n; i++) {
        const struct verifier *v = verifier_find(bytes_str(d.findings[i].platform));
        CHECK(v != NULL && v->trust >= TRUST_VOUCHED);
    }
}

static void it_is_told_to_people_and_programs(void **state)
{
    (void)state;
    struct detect d;
    struct json *json;
    bytes text;
    BUF_AUTO out = BUF(8192);
    make("/dev/sev-guest", "");
    make("/sys/class/misc/nsm/", "");
    d = look();
    CHECK_OK(detect_explain(&d, &out));
    bytes said = buf_view(&out);
    CHECK(text_find(said, BYTES_LIT("ready     AMD SEV-SNP: /dev/sev-guest, driver sev-guest, "
                                    "evidence by /dev/sev-guest\n")) < said.len);
    CHECK(text_find(said, BYTES_LIT("unusable  AWS Nitro Enclave: /sys/class/misc/nsm")) <
          said.len);
    CHECK(text_find(said, BYTES_LIT("absent    Intel TDX\n")) < said.len);
    CHECK(bytes_ends(said, BYTES_LIT("named: sev-snp, by /dev/sev-guest\n")));
    buf_truncate(&out, 0);
    CHECK_OK(detect_json(&d, &out));
    CHECK_OK(json_read(&json, buf_view(&out), 8));
    CHECK(json_text(json_get(json, "choice"), &text) && bytes_equal(text, BYTES_LIT("sev-snp")));
    CHECK(json_len(json_get(json, "platforms")) == d.n);
    json_free(json);
    take_away("/dev/sev-guest");
    d = look();
    buf_truncate(&out, 0);
    CHECK_OK(detect_explain(&d, &out));
    CHECK(text_find(buf_view(&out), BYTES_LIT("No TEE can be used here.")) < out.len);
}

static void a_root_that_is_too_long_is_refused(void **state)
{
    (void)state;
    struct detect d;
    char longest[DETECT_ROOT_MAX + 2];
    memset(longest, 'a', sizeof longest);
    longest[DETECT_ROOT_MAX + 1] = '\0';
    CHECK_ERR(detect_look(longest, &d), LIMIT);
    longest[DETECT_ROOT_MAX] = '\0';
    CHECK_OK(detect_look(longest, &d));
    CHECK(d.choice == NULL);
    CHECK_OK(detect_look(NULL, &d)); /* this machine, whatever it is */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_root, close_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_machine_without_a_tee_has_none_and_nothing_takes_its_place),
        TEST(an_snp_guest_is_told_by_its_device),
        TEST(a_td_is_told_by_its_device_old_or_new),
        TEST(a_nitro_enclave_is_told_by_its_device),
        TEST(a_vm_on_azure_is_told_by_its_tag_and_its_tpm),
        TEST(a_device_that_is_not_open_to_us_is_no_way),
        TEST(one_that_is_ready_is_chosen_before_one_that_is_not),
        TEST(every_platform_found_has_a_verifier_that_proves_something),
        TEST(it_is_told_to_people_and_programs),
        TEST(a_root_that_is_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
