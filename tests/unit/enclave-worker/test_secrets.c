#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "attest/sealed_root.h"
#include "base/config.h"
#include "base/file.h"
#include "base/text.h"
#include "crypto/init.h"
#include "enclave-worker/secrets.h"
#include "tests/lib/law.h"

enum { PATH_LEN = 64 };

static char folder[PATH_LEN - 16];
static char key_path[PATH_LEN];
static char file_path[PATH_LEN];

static int set_up(void **state)
{
    static const uint8_t root[SEALED_ROOT_LEN] = { 1 };
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/secrets-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    (void)snprintf(key_path, sizeof key_path, "%s/key", folder);
    (void)snprintf(file_path, sizeof file_path, "%s/file", folder);
    CHECK_OK(file_write(key_path, BYTES_ARRAY(root)));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(key_path);
    (void)unlink(file_path);
    return rmdir(folder);
}

static struct secrets_settings settings(bool sealed)
{
    return (struct secrets_settings){
        .sealed = sealed, .platform = "simulated", .key_id = "worker", .key_file = key_path
    };
}

static struct secrets *open_secrets(bool sealed)
{
    struct secrets *s = NULL;
    BUF_AUTO message = BUF(CONFIG_MESSAGE_MAX);
    const struct secrets_settings given = settings(sealed);
    CHECK_OK(secrets_open(&s, &given, &message));
    return s;
}

static void write_sealed(const char *key_id, bytes secret)
{
    struct sealed_key *k = NULL;
    BUF_AUTO sealed = BUF(SEALED_SECRET_MAX + SEALED_OVERHEAD);
    const struct sealed_source source = { .platform = "simulated", .file = key_path };
    CHECK_OK(sealed_key_open(&k, &source, bytes_str(key_id)));
    CHECK_OK(sealed_write(k, secret, &sealed));
    CHECK_OK(file_write(file_path, buf_view(&sealed)));
    sealed_key_free(k);
}

static bool says(const struct buf *message, const char *word)
{
    return text_find(buf_view(message), bytes_str(word)) < message->len;
}

static void check_read(const struct secrets *s, const char *expected)
{
    BUF_AUTO out = BUF(1024);
    BUF_AUTO message = BUF(CONFIG_MESSAGE_MAX);
    CHECK_OK(secrets_read(s, file_path, &out, &message));
    CHECK_BYTES(buf_view(&out), bytes_str(expected));
    CHECK(message.len == 0);
}

static void check_refused(const struct secrets *s, const char *word)
{
    BUF_AUTO out = BUF(16);
    BUF_AUTO message = BUF(CONFIG_MESSAGE_MAX);
    CHECK_ERR(secrets_read(s, file_path, &out, &message), CONFIG);
    CHECK(out.len == 0 && says(&message, file_path) && says(&message, word));
}

static void plain_files_are_read_as_they_are(void **state)
{
    (void)state;
    struct secrets *s = open_secrets(false);
    CHECK_OK(file_write(file_path, BYTES_LIT("a token\n")));
    check_read(s, "a token\n");
    CHECK_OK(file_write(file_path, BYTES_LIT("longer than sixteen")));
    check_refused(s, "longer");
    CHECK(unlink(file_path) == 0);
    check_refused(s, "cannot be read");
    secrets_close(s);
}

static void sealed_files_are_opened_and_plain_ones_refused(void **state)
{
    (void)state;
    struct secrets *s = open_secrets(true);
    write_sealed("worker", BYTES_LIT("a token\n"));
    check_read(s, "a token\n");
    write_sealed("worker2", BYTES_LIT("a token\n"));
    check_refused(s, "not sealed to this TEE");
    CHECK_OK(file_write(file_path, BYTES_LIT("a token\n")));
    check_refused(s, "not sealed to this TEE");
    CHECK(unlink(file_path) == 0);
    check_refused(s, "cannot be read");
    secrets_close(s);
}

static void of_a_line_only_the_first_counts(void **state)
{
    (void)state;
    static const char *const texts[] = { "token", "token\n", " token \r\nmore\n", "token\n\n" };
    struct secrets *s = open_secrets(true);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        BUF_AUTO out = BUF(5);
        BUF_AUTO message = BUF(CONFIG_MESSAGE_MAX);
        write_sealed("worker", bytes_str(texts[i]));
        CHECK_OK(secrets_read_line(s, file_path, &out, &message));
        CHECK_BYTES(buf_view(&out), BYTES_LIT("token"));
    }
    BUF_AUTO small = BUF(4);
    BUF_AUTO message = BUF(CONFIG_MESSAGE_MAX);
    CHECK_ERR(secrets_read_line(s, file_path, &small, &message), CONFIG);
    CHECK(says(&message, "longer"));
    secrets_close(s);
}

static void a_key_that_cannot_be_had_is_said(void **state)
{
    (void)state;
    struct secrets *s = NULL;
    BUF_AUTO message = BUF(CONFIG_MESSAGE_MAX);
    struct secrets_settings given = settings(true);
    given.key_file = NULL;
    CHECK_ERR(secrets_open(&s, &given, &message), CONFIG);
    CHECK(s == NULL && says(&message, "key file"));
    given.sealed = false;
    CHECK_OK(secrets_open(&s, &given, &message));
    secrets_close(s);
    secrets_close(NULL);
}

static err once(void *arg)
{
    struct secrets *s;
    const struct secrets_settings given = settings(true);
    BUF_AUTO out = BUF(64);
    TRY(secrets_open(&s, &given, arg));
    err e = secrets_read_line(s, file_path, &out, arg);
    secrets_close(s);
    return e;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    BUF_AUTO message = BUF(CONFIG_MESSAGE_MAX);
    write_sealed("worker", BYTES_LIT("token"));
    law_every_allocation_fails_once(once, &message);
}

int main(void)
{
    CHECK_OK(crypto_init());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_files_are_read_as_they_are),
        cmocka_unit_test(sealed_files_are_opened_and_plain_ones_refused),
        cmocka_unit_test(of_a_line_only_the_first_counts),
        cmocka_unit_test(a_key_that_cannot_be_had_is_said),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("enclave-worker/secrets", tests, set_up, tear_down);
}
