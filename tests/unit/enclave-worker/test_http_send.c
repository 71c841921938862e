#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sock.h"
#include "enclave-worker/http_send.h"
#include "tests/lib/law.h"

enum { BIG = 4 * 1024 * 1024 /* more than a socket takes at once */ };

struct fixture {
    int ours, theirs;
    struct http_base to;
    struct http_send send;
};

static int set_up(void **state)
{
    static struct fixture f;
    int ends[2];
    const struct engine_http_settings settings = { .url = "http://host:1/prefix" };
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    f = (struct fixture){ .ours = ends[0], .theirs = ends[1] };
    http_base_init(&f.to);
    CHECK_OK(http_base_set(&f.to, &settings));
    http_send_init(&f.send);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    http_send_clear(&f->send);
    http_base_clear(&f->to);
    sock_close(&f->ours);
    sock_close(&f->theirs);
    return 0;
}

static void set(struct fixture *f, const char *method, bytes body)
{
    const struct engine_request request = {
        .method = bytes_str(method),
        .path = BYTES_LIT("/v1/models"),
        .body = body,
    };
    CHECK_OK(http_send_set(&f->send, &request, &f->to));
}

/* All that has arrived. */
static void hear(struct fixture *f, struct buf *out)
{
    static uint8_t room[64 * 1024];
    for (size_t n; sock_receive(f->theirs, room, sizeof room, &n) == SOCK_MOVED;)
        CHECK_OK(buf_add(out, bytes_of(room, n)));
}

static void heard(struct fixture *f, const char *want)
{
    BUF_AUTO got = BUF(BIG + 4096);
    hear(f, &got);
    CHECK_BYTES(buf_view(&got), bytes_str(want));
}

static void a_small_request_leaves_at_once(void **state)
{
    struct fixture *f = *state;
    set(f, "POST", BYTES_LIT("body"));
    CHECK(http_send_wants(&f->send) && !http_send_is_done(&f->send));
    http_send_some(&f->send, f->ours);
    CHECK(!http_send_wants(&f->send) && http_send_is_done(&f->send));
    heard(f, "POST /prefix/v1/models HTTP/1.1\r\nHost: host:1\r\nContent-Length: 4\r\n\r\nbody");
}

static void what_asks_for_a_head_has_no_body(void **state)
{
    struct fixture *f = *state;
    set(f, "HEAD", BYTES_LIT("body"));
    http_send_some(&f->send, f->ours);
    heard(f, "HEAD /prefix/v1/models HTTP/1.1\r\nHost: host:1\r\n\r\n");
}

static void only_a_small_body_is_copied(void **state)
{
    struct fixture *f = *state;
    static uint8_t body[HTTP_SEND_SMALL_MAX + 1];
    set(f, "POST", bytes_of(body, HTTP_SEND_SMALL_MAX));
    CHECK(f->send.large.len == 0 && f->send.first.len > HTTP_SEND_SMALL_MAX);
    http_send_clear(&f->send);
    set(f, "POST", bytes_of(body, HTTP_SEND_SMALL_MAX + 1));
    CHECK(f->send.large.at == body && f->send.first.len < HTTP_SEND_SMALL_MAX);
}

static void a_large_one_goes_on_where_the_socket_stopped(void **state)
{
    struct fixture *f = *state;
    BUF_AUTO got = BUF(BIG + 4096);
    uint8_t *body = mem_alloc(BIG);
    for (size_t i = 0; i < BIG; i++)
        body[i] = (uint8_t)(i * 7 + i / 251);
    set(f, "POST", bytes_of(body, BIG));
    http_send_some(&f->send, f->ours);
    CHECK(http_send_wants(&f->send));
    for (int i = 0; i < 10000 && !http_send_is_done(&f->send); i++) {
        hear(f, &got);
        http_send_some(&f->send, f->ours);
    }
    hear(f, &got);
    CHECK(http_send_is_done(&f->send) && got.len > BIG);
    CHECK_BYTES(bytes_slice(buf_view(&got), got.len - BIG, got.len), bytes_of(body, BIG));
    mem_free(body);
}

static void what_was_sent_can_be_sent_again(void **state)
{
    struct fixture *f = *state;
    set(f, "GET", BYTES_LIT(""));
    http_send_some(&f->send, f->ours);
    http_send_again(&f->send);
    CHECK(http_send_wants(&f->send));
    http_send_some(&f->send, f->ours);
    heard(f,
          "GET /prefix/v1/models HTTP/1.1\r\nHost: host:1\r\n\r\n"
          "GET /prefix/v1/models HTTP/1.1\r\nHost: host:1\r\n\r\n");
}

static void who_has_left_is_told_nothing_more(void **state)
{
    struct fixture *f = *state;
    set(f, "GET", BYTES_LIT(""));
    sock_close(&f->theirs);
    http_send_some(&f->send, f->ours);
    CHECK(f->send.refused && !http_send_wants(&f->send) && !http_send_is_done(&f->send));
    http_send_again(&f->send);
    CHECK(http_send_wants(&f->send));
}

static void only_what_is_done_is_forgotten(void **state)
{
    struct fixture *f = *state;
    set(f, "GET", BYTES_LIT(""));
    http_send_forget(&f->send);
    CHECK(f->send.first.len > 0);
    http_send_some(&f->send, f->ours);
    http_send_forget(&f->send);
    CHECK(f->send.first.len == 0 && http_send_is_done(&f->send));
}

static void an_address_is_a_host_with_a_port_or_a_path(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host, *path;
        uint32_t port;
    } cases[] = {
        { "http://host", "host", "", 80 },    { "http://host:81/v1", "host", "", 81 },
        { "http://[::1]", "::1", "", 80 },    { "http://[::1]:82/a", "::1", "", 82 },
        { "unix:/a/path", "", "/a/path", 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct engine_http_settings settings = { .url = cases[i].url };
        struct sock_addr at = { 0 };
        struct http_base b;
        http_base_init(&b);
        CHECK_OK(http_base_set(&b, &settings));
        CHECK_OK(http_base_address(&b, &at));
        assert_string_equal(at.host, cases[i].host);
        assert_string_equal(at.path, cases[i].path);
        assert_int_equal(at.port, cases[i].port);
        http_base_clear(&b);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_small_request_leaves_at_once),
        TEST(what_asks_for_a_head_has_no_body),
        TEST(only_a_small_body_is_copied),
        TEST(a_large_one_goes_on_where_the_socket_stopped),
        TEST(what_was_sent_can_be_sent_again),
        TEST(who_has_left_is_told_nothing_more),
        TEST(only_what_is_done_is_forgotten),
        cmocka_unit_test(an_address_is_a_host_with_a_port_or_a_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
