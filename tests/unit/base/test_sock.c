#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sock.h"
#include "tests/lib/law.h"

static void reads_every_form_and_writes_it_back(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "127.0.0.1:8080",
        "[::1]:1",
        "[fe80::1%eth0]:65535",
        "example.org:443",
        "*:0",
        "tls://host-1.x:9",
        "tls://[2001:db8::1]:9",
        "unix:/run/worker.sock",
        "unix:/a:b/c",
        "vsock:3:5000",
        "vsock:*:5000",
        "vsock:0:0",
        "localhost:00080",
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct sock_addr a;
        BUF_AUTO text = BUF(SOCK_TEXT_MAX);
        CHECK_OK(sock_addr_read(bytes_str(forms[i]), &a));
        CHECK_OK(sock_addr_write(&a, &text));
        const char *want = strcmp(forms[i], "localhost:00080") == 0 ? "localhost:80" : forms[i];
        CHECK_BYTES(buf_view(&text), bytes_str(want));
        CHECK(a.tls == (strncmp(forms[i], "tls:", 4) == 0));
    }
}

static void refuses_other_forms(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "",
        ":",
        "host",
        "host:",
        ":80",
        "host:65536",
        "host:-1",
        "host:x",
        "host: 80",
        "ho st:80",
        "::1:80",
        "[::1]",
        "[]:80",
        "[host]:80",
        "[::1:80",
        "unix:",
        "unix:a",
        "unix:rel/a",
        "vsock:1",
        "vsock::1",
        "vsock:1:",
        "vsock:x:1",
        "vsock:1:x",
        "tls://",
        "tls://h",
        "http://h:1",
        "tls://unix:/a",
        "vsock:4294967295:1",
        "vsock:1:4294967295",
        "vsock:4294967296:1",
        "h:18446744073709551617",
        "a/b:1",
        "tls://tls://a:1",
    };
    struct sock_addr a = { .port = 7 };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        CHECK_ERR(sock_addr_read(bytes_str(forms[i]), &a), CONFIG);
    CHECK_ERR(sock_addr_read(BYTES_LIT("unix:/a\0b"), &a), CONFIG);
    CHECK(a.port == 7 && a.kind == SOCK_KIND_NONE);
}

/* prefix, then n times x, then suffix: readable or not? */
static bool fits(const char *prefix, size_t n, const char *suffix)
{
    struct sock_addr a;
    BUF_AUTO text = BUF(1000);
    CHECK_OK(buf_add_str(&text, prefix));
    for (size_t i = 0; i < n; i++)
        CHECK_OK(buf_add_u8(&text, 'x'));
    CHECK_OK(buf_add_str(&text, suffix));
    return err_is_ok(sock_addr_read(buf_view(&text), &a));
}

static void keeps_the_limits_of_names_and_paths(void **state)
{
    (void)state;
    CHECK(fits("", SOCK_HOST_MAX, ":1"));
    CHECK(!fits("", SOCK_HOST_MAX + 1, ":1"));
    CHECK(fits("unix:/", SOCK_PATH_MAX - 1, ""));
    CHECK(!fits("unix:/", SOCK_PATH_MAX, ""));
}

/* ---- connections ---- */

static void wait_for(int fd, short events)
{
    struct pollfd p = { .fd = fd, .events = events };
    assert_int_equal(poll(&p, 1, 20000), 1);
}

static int flag_of(int fd, int level, int name)
{
    int v = -1;
    socklen_t len = sizeof v;
    assert_int_equal(getsockopt(fd, level, name, &v, &len), 0);
    return v;
}

static void connect_to(const struct sock_addr *at, int *fd)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)at->port),
                              .sin_addr = { htonl(INADDR_LOOPBACK) } };
    struct sockaddr_storage to = { 0 };
    memcpy(&to, &v4, sizeof v4);
    CHECK_OK(sock_connect(at, at->kind == SOCK_KIND_TCP ? &to : NULL, fd));
    wait_for(*fd, POLLOUT);
    CHECK_OK(sock_connected(*fd));
}

/* Bytes both ways, both ends' end, and a peer that is gone. */
static void converse(int a, int b)
{
    uint8_t room[16];
    size_t n;
    CHECK(sock_receive(b, room, sizeof room, &n) == SOCK_WAIT && n == 0);
    CHECK(sock_send(a, (bytes){ 0 }, &n) == SOCK_MOVED && n == 0);
    CHECK(sock_send_part(a, (bytes){ 0 }, &n) == SOCK_MOVED && n == 0);
    CHECK(sock_send_part(a, BYTES_LIT("he"), &n) == SOCK_MOVED && n == 2);
    CHECK(sock_send(a, BYTES_LIT("llo"), &n) == SOCK_MOVED && n == 3);
    wait_for(b, POLLIN);
    CHECK(sock_receive(b, room, sizeof room, &n) == SOCK_MOVED && n == 5);
    sock_end(a);
    wait_for(b, POLLIN);
    CHECK(sock_receive(b, room, sizeof room, &n) == SOCK_ENDED);
    CHECK(sock_send(b, BYTES_LIT("bye"), &n) == SOCK_MOVED);
    wait_for(a, POLLIN);
    CHECK(sock_receive(a, room, sizeof room, &n) == SOCK_MOVED && n == 3);
    CHECK(sock_send(a, BYTES_LIT("x"), &n) == SOCK_BROKEN);
}

static void meet(const char *text)
{
    struct sock_addr at;
    int listening = -1, a = -1, b = -1, none;
    CHECK_OK(sock_addr_read(bytes_str(text), &at));
    CHECK_OK(sock_listen(&at, 0, &listening));
    CHECK_OK(sock_bound(listening, &at));
    CHECK(at.kind != SOCK_KIND_TCP || at.port != 0);
    CHECK_OK(sock_accept(listening, &none));
    CHECK(none == -1);
    connect_to(&at, &a);
    wait_for(listening, POLLIN);
    CHECK_OK(sock_accept(listening, &b));
    if (at.kind == SOCK_KIND_TCP) {
        CHECK(flag_of(a, IPPROTO_TCP, TCP_NODELAY) == 1);
        CHECK(flag_of(b, IPPROTO_TCP, TCP_NODELAY) == 1);
    }
    converse(a, b);
    sock_close(&a);
    sock_close(&a);
    sock_close(&b);
    sock_unlisten(&at, &listening);
    CHECK(a == -1 && listening == -1);
}

static void tcp_meets(void **state)
{
    (void)state;
    meet("127.0.0.1:0");
    meet("*:0");
}

static void unix_meets_and_leaves_no_path(void **state)
{
    (void)state;
    char text[64];
    (void)snprintf(text, sizeof text, "unix:/tmp/sealgate-test-%d.sock", (int)getpid());
    meet(text);
    CHECK(access(text + 5, F_OK) != 0);
}

static void vsock_meets(void **state)
{
    (void)state;
    struct sock_addr at;
    int listening = -1, a = -1;
    CHECK_OK(sock_addr_read(BYTES_LIT("vsock:1:47011"), &at));
    err e = sock_listen(&at, 0, &listening);
    if (err_is_ok(e))
        e = sock_connect(&at, NULL, &a);
    sock_close(&a);
    sock_close(&listening);
    if (!err_is_ok(e)) {
        print_message("SKIPPED: this machine has no vsock loopback (%s)\n", err_word(e));
        skip();
    }
    meet("vsock:1:47011");
}

static void a_stale_path_is_replaced_a_live_one_is_not(void **state)
{
    (void)state;
    char text[64];
    struct sock_addr at;
    int first = -1, second = -1;
    (void)snprintf(text, sizeof text, "unix:/tmp/sealgate-stale-%d.sock", (int)getpid());
    CHECK_OK(sock_addr_read(bytes_str(text), &at));
    CHECK_OK(sock_listen(&at, 0, &first));
    CHECK_ERR(sock_listen(&at, 0, &second), EXISTS);
    CHECK(second == -1);
    /* A process that died leaves its path behind. */
    sock_close(&first);
    CHECK(access(at.path, F_OK) == 0);
    CHECK_OK(sock_listen(&at, 0, &second));
    sock_unlisten(&at, &second);

    FILE *f = fopen(at.path, "w");
    CHECK(f != NULL);
    (void)fclose(f);
    CHECK_ERR(sock_listen(&at, 0, &second), EXISTS);
    CHECK(access(at.path, F_OK) == 0);
    (void)unlink(at.path);
}

static void a_tcp_port_is_shared_only_on_request(void **state)
{
    (void)state;
    struct sock_addr at;
    int a = -1, b = -1;
    CHECK_OK(sock_addr_read(BYTES_LIT("127.0.0.1:0"), &at));
    CHECK_OK(sock_listen(&at, 0, &a));
    CHECK_OK(sock_bound(a, &at));
    CHECK_ERR(sock_listen(&at, 0, &b), EXISTS);
    sock_close(&a);
    at.port = 0;
    CHECK_OK(sock_listen(&at, SOCK_SHARED, &a));
    CHECK_OK(sock_bound(a, &at));
    CHECK_OK(sock_listen(&at, SOCK_SHARED, &b));
    sock_close(&a);
    sock_close(&b);
}

static void tells_whether_a_tcp_address_is_in_use_though_it_could_be_shared(void **state)
{
    (void)state;
    struct sock_addr at, other;
    int a = -1;
    CHECK_OK(sock_addr_read(BYTES_LIT("127.0.0.1:0"), &at));
    CHECK_OK(sock_unused(&at));
    CHECK_OK(sock_listen(&at, SOCK_SHARED, &a));
    CHECK_OK(sock_bound(a, &at));
    CHECK_ERR(sock_unused(&at), EXISTS);
    other = at;
    (void)snprintf(other.host, sizeof other.host, "*");
    CHECK_ERR(sock_unused(&other), EXISTS);
    sock_close(&a);
    CHECK_OK(sock_unused(&at));
    CHECK_OK(sock_addr_read(BYTES_LIT("192.0.2.1:1"), &at));
    CHECK_ERR(sock_unused(&at), UNSUPPORTED);
    CHECK_OK(sock_addr_read(BYTES_LIT("unix:/nonexistent/x"), &at));
    CHECK_OK(sock_unused(&at));
    CHECK_ERR(sock_listen(&at, 0, &a), NOT_FOUND);
}

/* A gateway that was restarted finds the connections of the one before. */
static void an_address_is_unused_though_a_connection_of_it_still_stands(void **state)
{
    (void)state;
    struct sock_addr at;
    int listening = -1, a = -1, b = -1;
    CHECK_OK(sock_addr_read(BYTES_LIT("127.0.0.1:0"), &at));
    CHECK_OK(sock_listen(&at, SOCK_SHARED, &listening));
    CHECK_OK(sock_bound(listening, &at));
    connect_to(&at, &a);
    wait_for(listening, POLLIN);
    CHECK_OK(sock_accept(listening, &b));
    sock_close(&listening);
    CHECK_OK(sock_unused(&at));
    sock_close(&b);
    sock_close(&a);
    CHECK_OK(sock_unused(&at));
}

static void tells_that_nobody_is_there(void **state)
{
    (void)state;
    struct sock_addr at;
    struct sockaddr_storage to = { 0 };
    int fd = -1, listening = -1;
    CHECK_OK(sock_addr_read(BYTES_LIT("unix:/nonexistent/x"), &at));
    CHECK_ERR(sock_connect(&at, NULL, &fd), UNAVAILABLE);
    CHECK(fd == -1);
    CHECK_OK(sock_addr_read(BYTES_LIT("127.0.0.1:0"), &at));
    CHECK_ERR(sock_connect(&at, NULL, &fd), INTERNAL);
    CHECK_OK(sock_listen(&at, 0, &listening));
    CHECK_OK(sock_bound(listening, &at));
    sock_close(&listening);
    struct sockaddr_in v4 = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)at.port),
                              .sin_addr = { htonl(INADDR_LOOPBACK) } };
    memcpy(&to, &v4, sizeof v4);
    err e = sock_connect(&at, &to, &fd);
    if (err_is_ok(e)) {
        wait_for(fd, POLLOUT);
        e = sock_connected(fd);
    }
    CHECK_ERR(e, UNAVAILABLE);
    sock_close(&fd);
    CHECK_ERR(sock_listen(&(struct sock_addr){ 0 }, 0, &fd), CONFIG);
    CHECK_OK(sock_addr_read(BYTES_LIT("name.invalid:1"), &at));
    CHECK_ERR(sock_listen(&at, 0, &fd), CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_form_and_writes_it_back),
        cmocka_unit_test(refuses_other_forms),
        cmocka_unit_test(keeps_the_limits_of_names_and_paths),
        cmocka_unit_test(tcp_meets),
        cmocka_unit_test(unix_meets_and_leaves_no_path),
        cmocka_unit_test(vsock_meets),
        cmocka_unit_test(a_stale_path_is_replaced_a_live_one_is_not),
        cmocka_unit_test(a_tcp_port_is_shared_only_on_request),
        cmocka_unit_test(tells_whether_a_tcp_address_is_in_use_though_it_could_be_shared),
        cmocka_unit_test(an_address_is_unused_though_a_connection_of_it_still_stands),
        cmocka_unit_test(tells_that_nobody_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
