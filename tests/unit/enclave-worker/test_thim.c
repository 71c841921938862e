/* Azure's service is played by a child process, which counts who asks. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attest/snp_parse.h"
#include "attest/snp_table.h"
#include "base/text.h"
#include "crypto/init.h"
#include "enclave-worker/thim.h"
#include "tests/lib/law.h"

enum { NOW = 1751328000 }; /* 2025-07-01 */

static struct buf answer;

/* ---- answers ---- */

static void add_pem(struct buf *out, bytes der)
{
    CHECK_OK(buf_add_str(out, "-----BEGIN CERTIFICATE-----\\n"));
    CHECK_OK(text_base64_encode(out, der));
    CHECK_OK(buf_add_str(out, "\\n-----END CERTIFICATE-----\\n"));
}

static void make_answer(bytes leaf, bytes issuer)
{
    buf_truncate(&answer, 0);
    CHECK_OK(buf_add_str(&answer, "{\"vcekCert\":\""));
    add_pem(&answer, leaf);
    CHECK_OK(buf_add_str(&answer, "\",\"tcbm\":\"DB18000000000004\",\"certificateChain\":\""));
    add_pem(&answer, issuer);
    CHECK_OK(buf_add_str(&answer, "\",\"cacheControl\":\"86400\"}"));
}

/* DB18000000000004, as reports have it. */
static const struct snp_tcb LEVEL = { { 4, 0, 0, 0, 0, 0, 0x18, 0xdb } };
static const bytes LEAF = BYTES_LIT("leaf"), ISSUER = BYTES_LIT("issuer");

static void puts_certificates_into_a_table(void **state)
{
    (void)state;
    struct snp_collateral found = { 0 };
    BUF_AUTO table = BUF(SNP_TABLE_MAX);
    make_answer(LEAF, ISSUER);
    CHECK_OK(thim_read(buf_view(&answer), &LEVEL, &table));
    CHECK_OK(snp_collateral_read(&found, buf_view(&table)));
    CHECK_BYTES(found.vcek, LEAF);
    assert_int_equal(found.issuers_n, 1);
    CHECK_BYTES(found.issuers[0], ISSUER);
    snp_collateral_clear(&found);
}

#define OF_LEVEL "\"tcbm\":\"DB18000000000004\""

static void refuses_what_has_no_certificates(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{" OF_LEVEL "}",
        "{" OF_LEVEL ",\"vcekCert\":\"x\"}",
        "{" OF_LEVEL ",\"vcekCert\":\"x\",\"certificateChain\":\"y\"}",
        "{" OF_LEVEL ",\"vcekCert\":1,\"certificateChain\":2}",
        "{" OF_LEVEL
        ",\"vcekCert\":\"-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\\n\","
        "\"certificateChain\":\"none\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        BUF_AUTO table = BUF(SNP_TABLE_MAX);
        CHECK_ERR(thim_read(bytes_str(bad[i]), &LEVEL, &table), MALFORMED);
        assert_int_equal(table.len, 0);
    }
}

static void refuses_certificates_of_another_level(void **state)
{
    (void)state;
    static const char *const bad[] = { "{}", "[]", "{\"tcbm\":\"DB18\"}", "{\"tcbm\":4}",
                                       "{\"tcbm\":\"DB1800000000000400\"}" };
    BUF_AUTO table = BUF(SNP_TABLE_MAX);
    make_answer(LEAF, ISSUER);
    for (size_t i = 0; i < sizeof LEVEL.raw; i++) {
        struct snp_tcb other = LEVEL;
        other.raw[i] ^= 1;
        CHECK_ERR(thim_read(buf_view(&answer), &other, &table), STALE);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_ERR(thim_read(bytes_str(bad[i]), &LEVEL, &table), STALE);
    assert_int_equal(table.len, 0);
}

static void refuses_an_answer_over_the_limit(void **state)
{
    (void)state;
    BUF_AUTO table = BUF(SNP_TABLE_MAX);
    make_answer(LEAF, ISSUER);
    while (answer.len < THIM_ANSWER_MAX)
        CHECK_OK(buf_add_u8(&answer, ' '));
    CHECK_OK(thim_read(buf_view(&answer), &LEVEL, &table));
    CHECK_OK(buf_add_u8(&answer, ' '));
    CHECK_ERR(thim_read(buf_view(&answer), &LEVEL, &table), MALFORMED);
}

static err read_once(void *arg)
{
    BUF_AUTO table = BUF(SNP_TABLE_MAX);
    (void)arg;
    return thim_read(buf_view(&answer), &LEVEL, &table);
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    make_answer(LEAF, ISSUER);
    law_every_allocation_fails_once(read_once, NULL);
}

/* ---- the service ---- */

static struct {
    volatile unsigned asked, wrong; /* shared with the child */
} * seen;
static pid_t service;
static char url[128];

static void serve_one(int fd)
{
    char in[2048] = "";
    size_t len = 0;
    for (ssize_t n; strstr(in, "\r\n\r\n") == NULL && len < sizeof in - 1; len += (size_t)n) {
        n = read(fd, in + len, sizeof in - 1 - len);
        if (n <= 0)
            break;
        in[len + (size_t)n] = '\0';
    }
    seen->asked++;
    if (strstr(in, "GET /metadata/THIM/amd/certification HTTP/1.1\r\n") == NULL ||
        strstr(in, "\r\nMetadata: true\r\n") == NULL)
        seen->wrong++;
    bool fails = answer.len == 0;
    (void)dprintf(fd, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                  fails ? "503 No" : "200 OK", answer.len);
    (void)!write(fd, answer.at, answer.len);
    (void)close(fd);
}

static void start_service(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&at, len) == 0 && listen(fd, 8) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/metadata/THIM/amd/certification",
                   ntohs(at.sin_port));
    seen->asked = seen->wrong = 0;
    service = fork();
    CHECK(service >= 0);
    for (int conn; service == 0; serve_one(conn)) {
        conn = accept(fd, NULL, NULL);
        if (conn < 0)
            _exit(0);
    }
    (void)close(fd);
}

static void stop_service(void)
{
    (void)kill(service, SIGKILL);
    (void)waitpid(service, NULL, 0);
}

/* A report of that chip, with nothing else in it. */
static bytes report_of(uint8_t chip)
{
    static uint8_t report[SNP_REPORT_LEN];
    memset(report, 0, sizeof report);
    memcpy(report + 0x180, LEVEL.raw, sizeof LEVEL.raw); /* REPORTED_TCB */
    report[0] = 2;                                       /* version */
    report[0x1A0] = chip;                                /* CHIP_ID */
    return BYTES_ARRAY(report);
}

static size_t look(struct thim *t, uint8_t chip, int64_t now)
{
    BUF_AUTO table = BUF(SNP_TABLE_MAX);
    CHECK_OK(thim_collateral(t, report_of(chip), (bytes){ 0 }, now, &table));
    return table.len;
}

static void asks_once_until_the_certificates_are_old_or_of_another_chip(void **state)
{
    (void)state;
    struct thim *t;
    make_answer(LEAF, ISSUER);
    start_service();
    CHECK_OK(thim_new(&t, url, NULL));
    CHECK(look(t, 1, NOW) > 0);
    CHECK(look(t, 1, NOW + THIM_FRESH_S - 1) > 0);
    assert_int_equal(seen->asked, 1);
    CHECK(look(t, 2, NOW + 1) > 0);
    assert_int_equal(seen->asked, 2);
    CHECK(look(t, 2, NOW + 1 + THIM_FRESH_S) > 0);
    assert_int_equal(seen->asked, 3);
    assert_int_equal(seen->wrong, 0);
    thim_free(t);
    stop_service();
}

static void goes_without_where_there_is_no_answer_and_asks_again_after_a_pause(void **state)
{
    (void)state;
    struct thim *t;
    buf_truncate(&answer, 0);
    start_service();
    CHECK_OK(thim_new(&t, url, NULL));
    assert_int_equal(look(t, 1, NOW), 0);
    assert_int_equal(look(t, 1, NOW + THIM_PAUSE_S - 1), 0);
    assert_int_equal(seen->asked, 1);
    assert_int_equal(look(t, 1, NOW + THIM_PAUSE_S), 0);
    assert_int_equal(seen->asked, 2);
    stop_service();
    assert_int_equal(look(t, 1, NOW + 2 * THIM_PAUSE_S), 0);
    thim_free(t);
}

static void leaves_a_table_of_the_host_as_it_is(void **state)
{
    (void)state;
    struct thim *t;
    BUF_AUTO table = BUF(64);
    CHECK_OK(thim_new(&t, "http://127.0.0.1:9/", NULL));
    CHECK_OK(thim_collateral(t, report_of(1), BYTES_LIT("of the host"), NOW, &table));
    CHECK_BYTES(buf_view(&table), BYTES_LIT("of the host"));
    thim_free(t);
}

static void asks_only_in_the_clear_where_azure_is(void **state)
{
    (void)state;
    struct thim *t;
    CHECK_ERR(thim_new(&t, "https://169.254.169.254/", NULL), CONFIG);
    CHECK_ERR(thim_new(&t, "file:///etc/passwd", NULL), CONFIG);
    CHECK_ERR(thim_new(&t, "", NULL), CONFIG);
    CHECK_ERR(thim_new(&t, NULL, NULL), CONFIG);
}

/* ---- genuine certificates ---- */

static void read_vector(struct buf *out, const char *name)
{
    BUF_AUTO path = BUF(4096);
    CHECK_OK(buf_addf(&path, "%s/attest/sev-snp/%s", law_vectors(), name));
    law_read_file(out, buf_str(&path));
}

/* As a JSON text: PEM has nothing to escape but its line feeds. */
static void add_escaped(struct buf *out, bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        CHECK_OK(text.at[i] == '\n' ? buf_add_str(out, "\\n") : buf_add_u8(out, text.at[i]));
}

static void is_what_the_verifier_of_genuine_evidence_wants(void **state)
{
    (void)state;
    if (law_vectors() == NULL) {
        print_message("SKIPPED: no published vectors, so no genuine certificate was tried\n");
        skip();
    }
    struct snp_collateral found = { 0 };
    BUF_AUTO table = BUF(SNP_TABLE_MAX);
    BUF_AUTO leaf = BUF(SNP_CERT_MAX);
    BUF_AUTO chain = BUF(SNP_CERT_MAX);
    read_vector(&leaf, "azure/vcek.der");
    read_vector(&chain, "roots/ask_milan.pem");
    read_vector(&chain, "roots/ark_milan.pem");
    buf_truncate(&answer, 0);
    CHECK_OK(buf_add_str(&answer, "{\"vcekCert\":\""));
    add_pem(&answer, buf_view(&leaf));
    CHECK_OK(buf_add_str(&answer, "\",\"tcbm\":\"DB18000000000004\",\"certificateChain\":\""));
    add_escaped(&answer, buf_view(&chain));
    CHECK_OK(buf_add_str(&answer, "\"}"));
    CHECK_OK(thim_read(buf_view(&answer), &LEVEL, &table));
    CHECK_OK(snp_collateral_read(&found, buf_view(&table)));
    CHECK_BYTES(found.vcek, buf_view(&leaf));
    assert_int_equal(found.issuers_n, 2);
    snp_collateral_clear(&found);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_certificates_into_a_table),
        cmocka_unit_test(refuses_what_has_no_certificates),
        cmocka_unit_test(refuses_certificates_of_another_level),
        cmocka_unit_test(refuses_an_answer_over_the_limit),
        cmocka_unit_test(survives_every_failing_allocation),
        cmocka_unit_test(asks_once_until_the_certificates_are_old_or_of_another_chip),
        cmocka_unit_test(goes_without_where_there_is_no_answer_and_asks_again_after_a_pause),
        cmocka_unit_test(leaves_a_table_of_the_host_as_it_is),
        cmocka_unit_test(asks_only_in_the_clear_where_azure_is),
        cmocka_unit_test(is_what_the_verifier_of_genuine_evidence_wants),
    };
    if (crypto_init().code != ERR_OK)
        return 1;
    answer = BUF(2 * THIM_ANSWER_MAX);
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_clear(&answer);
    return failed;
}
