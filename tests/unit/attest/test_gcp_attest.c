#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "attest/gcp_attest.h"
#include "attest/own.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "crypto/init.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/gcp_maker.h"

/* A launcher that answers one question, on a thread of its own, as the test wants it. */
static struct launcher {
    char folder[64], path[96];
    int listener;
    pthread_t thread;
    struct gcp_maker maker;
    struct buf request;
    const char *head;    /* in front of the token */
    const char *instead; /* of head and token; NULL: those */
    bool in_drops;
    bool silent; /* takes the question and says nothing until the other goes */
} fake;

static void read_request(int fd)
{
    for (;;) {
        uint8_t part[512];
        ssize_t n = recv(fd, part, sizeof part, 0);
        if (n <= 0)
            return;
        CHECK_OK(buf_add(&fake.request, bytes_of(part, (size_t)n)));
        size_t head = text_find(buf_view(&fake.request), BYTES_LIT("\r\n\r\n"));
        if (head < fake.request.len && fake.request.at[fake.request.len - 1] == '}')
            return;
    }
}

static void asked_nonce(char out[static GCP_NONCE_LEN + 1])
{
    struct json *body = NULL;
    bytes text = { 0 };
    size_t at = text_find(buf_view(&fake.request), BYTES_LIT("\r\n\r\n")) + 4;
    CHECK_OK(json_read(&body, bytes_slice(buf_view(&fake.request), at, fake.request.len), 4));
    (void)json_text(json_get(body, "audience"), &text);
    CHECK_BYTES(text, BYTES_LIT(GCP_OUR_AUDIENCE));
    (void)json_text(json_get(body, "token_type"), &text);
    CHECK_BYTES(text, BYTES_LIT("PKI"));
    CHECK(json_len(json_get(body, "nonces")) == 1);
    (void)json_text(json_at(json_get(body, "nonces"), 0), &text);
    CHECK(text.len == GCP_NONCE_LEN);
    memcpy(out, text.at, text.len);
    out[text.len] = '\0';
    json_free(body);
}

static void send_all(int fd, bytes data)
{
    size_t step = fake.in_drops ? 7 : data.len;
    for (size_t at = 0; at < data.len; at += step) {
        bytes part = bytes_slice(data, at, step);
        (void)send(fd, part.at, part.len, MSG_NOSIGNAL);
    }
}

static void answer(int fd)
{
    char nonce[GCP_NONCE_LEN + 1];
    asked_nonce(nonce);
    gcp_maker_make(&fake.maker, nonce);
    if (fake.instead != NULL) {
        send_all(fd, bytes_str(fake.instead));
        return;
    }
    send_all(fd, bytes_str(fake.head));
    send_all(fd, buf_view(&fake.maker.token));
}

static void *serve(void *arg)
{
    int fd = accept(fake.listener, NULL, NULL);
    uint8_t byte;
    (void)arg;
    if (fd < 0)
        return NULL;
    read_request(fd);
    if (fake.silent)
        (void)recv(fd, &byte, 1, 0);
    else
        answer(fd);
    (void)close(fd);
    return NULL;
}

static int setup(void **state)
{
    (void)state;
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    fake = (struct launcher){ .head = "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n",
                              .request = BUF(8192) };
    (void)snprintf(fake.folder, sizeof fake.folder, "/tmp/sealgate-gcp-XXXXXX");
    CHECK(mkdtemp(fake.folder) != NULL);
    (void)snprintf(fake.path, sizeof fake.path, "%s/teeserver.sock", fake.folder);
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", fake.path);
    CHECK_OK(crypto_init());
    gcp_maker_open(&fake.maker, clock_wall_s());
    fake.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fake.listener >= 0 && bind(fake.listener, (struct sockaddr *)&at, sizeof at) == 0);
    CHECK(listen(fake.listener, 1) == 0 && pthread_create(&fake.thread, NULL, serve, NULL) == 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)shutdown(fake.listener, SHUT_RDWR);
    (void)pthread_join(fake.thread, NULL);
    (void)close(fake.listener);
    (void)unlink(fake.path);
    (void)rmdir(fake.folder);
    gcp_maker_close(&fake.maker);
    buf_clear(&fake.request);
    return 0;
}

static const uint8_t identity[32] = { 7 };
static const uint8_t nonce[32] = { 9 };

static err ask(unsigned wait_ms, struct buf *document)
{
    struct attester *a;
    const struct attester_subject subject = { BYTES_ARRAY(identity), BYTES_ARRAY(nonce),
                                              BYTES_LIT("claims") };
    const struct gcp_attest_settings settings = { .socket = fake.path, .wait_ms = wait_ms };
    TRY(gcp_attester_new(&a, &settings));
    err e = attester_document(a, &subject, clock_wall_s(), document);
    attester_free(a);
    return e;
}

static void check_good(void)
{
    struct verdict v;
    const struct attester_subject subject = { BYTES_ARRAY(identity), BYTES_ARRAY(nonce),
                                              BYTES_LIT("claims") };
    BUF_AUTO document = BUF(BUNDLE_MAX);
    CHECK_OK(ask(0, &document));
    CHECK_OK(own_read(buf_view(&document), &subject, clock_wall_s(), &v));
    CHECK(v.accepted && v.trust == TRUST_VOUCHED);
    verdict_clear(&v);
}

static void a_token_comes_from_the_launcher_with_our_binding_in_it(void **state)
{
    (void)state;
    check_good();
    CHECK(bytes_starts(buf_view(&fake.request), BYTES_LIT("POST /v1/token HTTP/1.0\r\n")));
}

static void an_answer_may_come_in_drops(void **state)
{
    (void)state;
    fake.in_drops = true;
    fake.head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    check_good();
}

static void refuses(const char *instead)
{
    BUF_AUTO document = BUF(BUNDLE_MAX);
    fake.instead = instead;
    CHECK_ERR(ask(0, &document), UNAVAILABLE);
    CHECK(document.len == 0);
}

static void an_error_of_the_launcher_is_no_token(void **state)
{
    (void)state;
    refuses("HTTP/1.0 500 Internal Server Error\r\n\r\nfailed to get token");
}

static void a_page_is_no_token(void **state)
{
    (void)state;
    refuses("HTTP/1.0 200 OK\r\n\r\n<html></html>");
}

static void a_head_alone_is_no_token(void **state)
{
    (void)state;
    refuses("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n");
}

static void silence_ends_in_time(void **state)
{
    (void)state;
    BUF_AUTO document = BUF(BUNDLE_MAX);
    fake.silent = true;
    CHECK_ERR(ask(50, &document), UNAVAILABLE);
}

static void without_a_socket_this_is_no_confidential_space(void **state)
{
    (void)state;
    struct attester *a = NULL;
    struct gcp_attest_settings s = { .socket = "/nowhere/teeserver.sock" };
    CHECK_ERR(gcp_attester_new(&a, &s), UNAVAILABLE);
    s.socket = "/dev/null";
    CHECK_ERR(gcp_attester_new(&a, &s), UNAVAILABLE);
    CHECK(a == NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_token_comes_from_the_launcher_with_our_binding_in_it),
        TEST(an_answer_may_come_in_drops),
        TEST(an_error_of_the_launcher_is_no_token),
        TEST(a_page_is_no_token),
        TEST(a_head_alone_is_no_token),
        TEST(silence_ends_in_time),
        TEST(without_a_socket_this_is_no_confidential_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
