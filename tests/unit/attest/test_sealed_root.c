#include <errno.h>
#include <linux/sev-guest.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "attest/sealed_root.h"
#include "base/file.h"
#include "crypto/init.h"
#include "tests/lib/law.h"

enum { PATH_LEN = 64 };

static char folder[PATH_LEN - 16];
static char key_path[PATH_LEN];
static char socket_path[PATH_LEN];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/sealed-root-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    (void)snprintf(key_path, sizeof key_path, "%s/key", folder);
    (void)snprintf(socket_path, sizeof socket_path, "%s/socket", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(key_path);
    (void)unlink(socket_path);
    return rmdir(folder);
}

/* Both sources give the same key for the same key id: what one seals the other opens. */
static void check_same(const struct sealed_key *a, const struct sealed_key *b, bool same)
{
    BUF_AUTO sealed = BUF(128);
    BUF_AUTO opened = BUF(128);
    CHECK_OK(sealed_write(a, BYTES_LIT("a secret"), &sealed));
    err e = sealed_read(b, buf_view(&sealed), &opened);
    assert_string_equal(err_word(e), same ? "ok" : err_word((err){ .code = ERR_CRYPTO }));
}

static struct sealed_key *key_by_root(const char *platform, uint8_t fill)
{
    struct sealed_key *k = NULL;
    uint8_t root[SEALED_ROOT_LEN];
    memset(root, fill, sizeof root);
    CHECK_OK(sealed_key_new(&k, bytes_str(platform), BYTES_LIT("k"), BYTES_ARRAY(root)));
    return k;
}

static void check_opens(const struct sealed_source *s, uint8_t fill)
{
    struct sealed_key *k = NULL, *expected = key_by_root(s->platform, fill);
    CHECK_OK(sealed_key_open(&k, s, BYTES_LIT("k")));
    check_same(k, expected, true);
    check_same(expected, k, true);
    sealed_key_free(k);
    sealed_key_free(expected);
}

#define FAILS(source, kind)                                                                        \
    do {                                                                                           \
        struct sealed_key *none = NULL;                                                            \
        CHECK_ERR(sealed_key_open(&none, (source), BYTES_LIT("k")), kind);                         \
        CHECK(none == NULL);                                                                       \
    } while (0)

/* ---- the firmware ---- */

static struct snp_derived_key_req asked;
static uint32_t status;
static uint8_t key_fill = 0x4b;

static void *pointer(uint64_t address)
{
    return (void *)(uintptr_t)address; /* NOLINT(performance-no-int-to-ptr): as the kernel has it */
}

static int control(int fd, unsigned long code, void *argument)
{
    const struct snp_guest_request_ioctl *m = argument;
    struct snp_derived_key_resp *response = pointer(m->resp_data);
    CHECK(fd >= 0 && code == SNP_GET_DERIVED_KEY);
    asked = *(const struct snp_derived_key_req *)pointer(m->req_data);
    response->data[0] = (uint8_t)status;
    memset(response->data + 32, key_fill, SEALED_ROOT_LEN);
    return 0;
}

static const struct sealed_source SNP = { .platform = "sev-snp",
                                          .snp = { .path = "/dev/null", .control = control },
                                          .vmpl = 1 };

static void the_firmware_derives_by_policy_ids_and_measurement(void **state)
{
    (void)state;
    check_opens(&SNP, 0x4b);
    CHECK(asked.guest_field_select == 0xf && asked.vmpl == 1 && asked.root_key_select == 0);
    CHECK(asked.guest_svn == 0 && asked.tcb_version == 0);
}

static void a_firmware_that_refuses_or_gives_no_key_is_no_root(void **state)
{
    (void)state;
    struct sealed_source s = SNP;
    status = 0x16;
    FAILS(&s, DENIED);
    status = 0;
    key_fill = 0;
    FAILS(&s, MALFORMED);
    key_fill = 0x4b;
    s.snp.path = "/nonexistent/sev-guest";
    FAILS(&s, UNAVAILABLE);
}

/* ---- a file ---- */

static void write_key(size_t len, mode_t mode)
{
    uint8_t root[SEALED_ROOT_LEN + 1];
    memset(root, 0x6b, sizeof root);
    (void)unlink(key_path);
    CHECK_OK(file_write(key_path, bytes_of(root, len)));
    CHECK(chmod(key_path, mode) == 0);
}

static void a_file_stands_in_for_the_simulated_platform(void **state)
{
    (void)state;
    const struct sealed_source s = { .platform = "simulated", .file = key_path };
    write_key(SEALED_ROOT_LEN, 0600);
    check_opens(&s, 0x6b);
    write_key(SEALED_ROOT_LEN, 0400);
    check_opens(&s, 0x6b);
}

static void a_file_that_is_no_key_of_ours_is_refused(void **state)
{
    (void)state;
    char link_path[PATH_LEN];
    struct sealed_source s = { .platform = "simulated", .file = key_path };
    (void)unlink(key_path);
    FAILS(&s, NOT_FOUND);
    write_key(SEALED_ROOT_LEN, 0640);
    FAILS(&s, DENIED);
    write_key(SEALED_ROOT_LEN, 0604);
    FAILS(&s, DENIED);
    write_key(SEALED_ROOT_LEN - 1, 0600);
    FAILS(&s, MALFORMED);
    write_key(SEALED_ROOT_LEN + 1, 0600);
    FAILS(&s, MALFORMED);
    s.file = folder;
    FAILS(&s, MALFORMED);
    write_key(SEALED_ROOT_LEN, 0600);
    (void)snprintf(link_path, sizeof link_path, "%s/link", folder);
    CHECK(symlink(key_path, link_path) == 0);
    s.file = link_path;
    FAILS(&s, DENIED);
    CHECK(unlink(link_path) == 0);
}

/* ---- a service ---- */

/* Answers one question with these bytes, in two pieces, and closes; or keeps the line open. */
struct service {
    pthread_t thread;
    int listening;
    size_t answer_len;
    bool keeps_open;
    char question[128];
};

static void *serve(void *arg)
{
    struct service *s = arg;
    uint8_t answer[2 * SEALED_ROOT_LEN];
    int fd = accept(s->listening, NULL, NULL);
    size_t got = 0;
    memset(answer, 0x53, sizeof answer);
    while (fd >= 0 && got + 1 < sizeof s->question && memchr(s->question, '\n', got) == NULL) {
        ssize_t n = recv(fd, s->question + got, sizeof s->question - 1 - got, 0);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    size_t half = s->answer_len / 2;
    (void)send(fd, answer, half, MSG_NOSIGNAL);
    (void)send(fd, answer, s->answer_len - half, MSG_NOSIGNAL);
    if (s->keeps_open)
        (void)recv(fd, answer, sizeof answer, 0); /* until the other side goes */
    (void)close(fd);
    return NULL;
}

static void service_start(struct service *s, size_t answer_len, bool keeps_open)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    *s = (struct service){ .answer_len = answer_len, .keeps_open = keeps_open };
    (void)unlink(socket_path);
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", socket_path);
    s->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(s->listening >= 0 && bind(s->listening, (struct sockaddr *)&at, sizeof at) == 0);
    CHECK(listen(s->listening, 1) == 0);
    CHECK(pthread_create(&s->thread, NULL, serve, s) == 0);
}

static void service_stop(struct service *s)
{
    CHECK(pthread_join(s->thread, NULL) == 0);
    (void)close(s->listening);
}

static void a_service_gives_the_root_where_the_platform_has_none(void **state)
{
    (void)state;
    static const char *const platforms[] = { "tdx", "nitro", "azure-sev-snp",
                                             "gcp-confidential-space", "sev-snp" };
    for (size_t i = 0; i < ARRAY_LEN(platforms); i++) {
        struct service service;
        char line[PATH_LEN];
        const struct sealed_source s = { .platform = platforms[i], .service = socket_path };
        service_start(&service, SEALED_ROOT_LEN, false);
        check_opens(&s, 0x53);
        service_stop(&service);
        (void)snprintf(line, sizeof line, "sealgate-key 1 %s k\n", platforms[i]);
        assert_string_equal(service.question, line);
    }
}

static void a_service_that_answers_something_else_is_refused(void **state)
{
    (void)state;
    static const size_t lengths[] = { 0, 1, SEALED_ROOT_LEN - 1, SEALED_ROOT_LEN + 1,
                                      2 * SEALED_ROOT_LEN };
    const struct sealed_source s = { .platform = "tdx", .service = socket_path };
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct service service;
        service_start(&service, lengths[i], false);
        FAILS(&s, MALFORMED);
        service_stop(&service);
    }
    FAILS(&s, UNAVAILABLE); /* nobody listens any more */
    (void)unlink(socket_path);
    FAILS(&s, UNAVAILABLE);
}

/* All bytes of a key, but no end: what else may come? */
static void a_service_that_does_not_come_to_an_end_is_given_up(void **state)
{
    (void)state;
    struct service service;
    const struct sealed_source s = { .platform = "tdx", .service = socket_path, .service_ms = 200 };
    service_start(&service, SEALED_ROOT_LEN, true);
    FAILS(&s, TIMEOUT);
    service_stop(&service);
}

/* ---- which ---- */

static void each_platform_has_its_sources_and_no_others(void **state)
{
    (void)state;
    static const struct sealed_source wrong[] = {
        { .platform = "tdx" },
        { .platform = "nitro" },
        { .platform = "azure-sev-snp" },
        { .platform = "gcp-confidential-space" },
        { .platform = "simulated" },
        { .platform = "simulated", .file = "/key", .service = "/socket" },
        { .platform = "simulated", .service = "/socket" },
        { .platform = "tdx", .file = "/key" },
        { .platform = "sev-snp", .file = "/key" },
        { .platform = "tdx", .service = "" },
    };
    static const struct sealed_source unknown[] = { { .platform = "sgx" }, { .platform = NULL } };
    char too_long[SEALED_KEY_ID_MAX + 64];
    struct sealed_key *k = NULL;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        FAILS(&wrong[i], CONFIG);
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        FAILS(&unknown[i], UNSUPPORTED);
    memset(too_long, 'a', sizeof too_long);
    too_long[sizeof too_long - 1] = '\0';
    FAILS((&(struct sealed_source){ .platform = "tdx", .service = too_long }), CONFIG);
    CHECK_ERR(sealed_key_open(&k, &SNP, BYTES_LIT("a b")), MALFORMED);
    CHECK_ERR(sealed_key_open(&k, &SNP, (bytes){ 0 }), MALFORMED);
}

static void every_error_has_words_for_people(void **state)
{
    (void)state;
    static const enum err_code codes[] = { ERR_CONFIG, ERR_UNSUPPORTED, ERR_MALFORMED,
                                           ERR_DENIED, ERR_NOT_FOUND,   ERR_UNAVAILABLE,
                                           ERR_TIMEOUT };
    const char *other = sealed_key_fault((err){ .code = ERR_SYSTEM });
    CHECK(strlen(other) > 0);
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        CHECK(strcmp(sealed_key_fault((err){ .code = codes[i] }), other) != 0);
}

static err once(void *arg)
{
    struct sealed_key *k;
    (void)arg;
    TRY(sealed_key_open(&k, &SNP, BYTES_LIT("k")));
    sealed_key_free(k);
    return OK;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    law_every_allocation_fails_once(once, NULL);
}

int main(void)
{
    CHECK_OK(crypto_init());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_firmware_derives_by_policy_ids_and_measurement),
        cmocka_unit_test(a_firmware_that_refuses_or_gives_no_key_is_no_root),
        cmocka_unit_test(a_file_stands_in_for_the_simulated_platform),
        cmocka_unit_test(a_file_that_is_no_key_of_ours_is_refused),
        cmocka_unit_test(a_service_gives_the_root_where_the_platform_has_none),
        cmocka_unit_test(a_service_that_answers_something_else_is_refused),
        cmocka_unit_test(a_service_that_does_not_come_to_an_end_is_given_up),
        cmocka_unit_test(each_platform_has_its_sources_and_no_others),
        cmocka_unit_test(every_error_has_words_for_people),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("attest/sealed_root", tests, set_up, tear_down);
}
