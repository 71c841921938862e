/* Messages by hand; and the resolver of the C library against a name server on the same loop. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/dns.h"
#include "base/loop.h"
#include "base/text.h"
#include "tests/lib/law.h"

enum { GUARD_MS = 60000, HEAD_LEN = 12, NXDOMAIN = 3, SERVFAIL = 2, ROOM = 4096 };

static struct dns_answer got; /* too large for a stack */

/* ---- writing messages ---- */

static void put16(struct buf *out, unsigned v)
{
    CHECK_OK(buf_add_u8(out, (uint8_t)(v >> 8)));
    CHECK_OK(buf_add_u8(out, (uint8_t)v));
}

static void put_name(struct buf *out, const char *name)
{
    while (*name != '\0') {
        size_t len = strcspn(name, ".");
        CHECK_OK(buf_add_u8(out, (uint8_t)len));
        CHECK_OK(buf_add(out, bytes_of((const uint8_t *)name, len)));
        name += len + (name[len] == '.');
    }
    CHECK_OK(buf_add_u8(out, 0));
}

static void put_head(struct buf *out, unsigned flags, unsigned questions, unsigned answers)
{
    put16(out, 7);
    put16(out, flags);
    put16(out, questions);
    put16(out, answers);
    put16(out, 0);
    put16(out, 0);
}

static void put_record(struct buf *out, const char *name, unsigned type, uint32_t ttl_s, bytes data)
{
    put_name(out, name);
    put16(out, type);
    put16(out, 1);
    put16(out, ttl_s >> 16);
    put16(out, ttl_s & 0xffff);
    put16(out, (unsigned)data.len);
    CHECK_OK(buf_add(out, data));
}

static void put_a(struct buf *out, const char *name, uint32_t ttl_s, uint8_t last)
{
    const uint8_t address[] = { 127, 0, 0, last };
    put_record(out, name, DNS_A, ttl_s, BYTES_ARRAY(address));
}

static void put_aaaa(struct buf *out, const char *name, uint32_t ttl_s)
{
    const uint8_t address[16] = { [15] = 1 };
    put_record(out, name, DNS_AAAA, ttl_s, BYTES_ARRAY(address));
}

static void put_srv(struct buf *out, const char *name, const unsigned *numbers, const char *target)
{
    BUF_AUTO data = BUF(300);
    for (int i = 0; i < 3; i++)
        put16(&data, numbers[i]);
    put_name(&data, target);
    put_record(out, name, DNS_SRV, 60, buf_view(&data));
}

/* ---- reading ---- */

static void reads_addresses_and_the_smallest_time(void **state)
{
    (void)state;
    BUF_AUTO m = BUF(ROOM);
    put_head(&m, 0x8180, 1, 4);
    put_name(&m, "w.test");
    put16(&m, DNS_A);
    put16(&m, 1);
    put_record(&m, "w.test", 5, 9, BYTES_LIT("\1v\0")); /* an alias */
    put_a(&m, "v", 30, 1);
    put_a(&m, "v", 20, 2);
    put_aaaa(&m, "v", 10);
    got.n = 0;
    CHECK_OK(dns_read(buf_view(&m), DNS_A, &got));
    CHECK(got.n == 2 && got.ttl_s == 9);
    CHECK(strcmp(got.at[0].address, "127.0.0.1") == 0 && got.at[0].target[0] == '\0');
    CHECK(strcmp(got.at[1].address, "127.0.0.2") == 0);
    CHECK_OK(dns_read(buf_view(&m), DNS_AAAA, &got));
    CHECK(got.n == 3 && strcmp(got.at[2].address, "::1") == 0);
}

static void reads_services(void **state)
{
    (void)state;
    BUF_AUTO m = BUF(ROOM);
    put_head(&m, 0x8180, 0, 3);
    put_srv(&m, "_s._tcp.w", (const unsigned[]){ 1, 2, 8443 }, "a-1.w_x.test");
    put_srv(&m, "_s._tcp.w", (const unsigned[]){ 9, 0, 65535 }, "b");
    put_srv(&m, "_s._tcp.w", (const unsigned[]){ 0, 0, 0 }, ""); /* no such service */
    got.n = 0;
    CHECK_OK(dns_read(buf_view(&m), DNS_SRV, &got));
    CHECK(got.n == 2 && got.ttl_s == 60);
    CHECK(strcmp(got.at[0].target, "a-1.w_x.test") == 0 && got.at[0].port == 8443);
    CHECK(got.at[0].priority == 1 && got.at[0].weight == 2);
    CHECK(strcmp(got.at[1].target, "b") == 0 && got.at[1].port == 65535);
}

static void a_time_that_is_too_long_is_cut(void **state)
{
    (void)state;
    BUF_AUTO m = BUF(ROOM);
    put_head(&m, 0x8180, 0, 1);
    put_a(&m, "v", UINT32_MAX, 1);
    got.n = 0;
    CHECK_OK(dns_read(buf_view(&m), DNS_A, &got));
    CHECK(got.ttl_s == DNS_TTL_MAX);
}

static void more_records_than_there_is_room_for_are_left_out(void **state)
{
    (void)state;
    BUF_AUTO m = BUF(DNS_MESSAGE_MAX);
    put_head(&m, 0x8180, 0, DNS_RECORDS_MAX + 1);
    for (size_t i = 0; i < DNS_RECORDS_MAX + 1; i++)
        put_a(&m, "v", 1, (uint8_t)i);
    got.n = 0;
    CHECK_OK(dns_read(buf_view(&m), DNS_A, &got));
    CHECK(got.n == DNS_RECORDS_MAX);
}

static void every_prefix_is_refused(void **state)
{
    (void)state;
    BUF_AUTO m = BUF(ROOM);
    put_head(&m, 0x8180, 0, 2);
    put_a(&m, "v", 30, 1);
    put_srv(&m, "v", (const unsigned[]){ 1, 2, 3 }, "target.test");
    for (size_t n = 0; n < m.len; n++) {
        got.n = 0;
        CHECK_ERR(dns_read(bytes_slice(buf_view(&m), 0, n), DNS_SRV, &got), MALFORMED);
    }
    got.n = 0;
    CHECK_OK(dns_read(buf_view(&m), DNS_SRV, &got));
}

static void refuses_what_is_no_address_and_no_host(void **state)
{
    (void)state;
    BUF_AUTO m = BUF(ROOM);
    put_head(&m, 0x8180, 0, 1);
    put_record(&m, "v", DNS_A, 1, BYTES_LIT("123"));
    got.n = 0;
    CHECK_ERR(dns_read(buf_view(&m), DNS_A, &got), MALFORMED);
    const char *const names[] = { "a b", "a/b", "a:1", "a\\b", "a\nb" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        buf_truncate(&m, 0);
        put_head(&m, 0x8180, 0, 1);
        put_srv(&m, "v", (const unsigned[]){ 1, 2, 3 }, names[i]);
        CHECK_ERR(dns_read(buf_view(&m), DNS_SRV, &got), MALFORMED);
    }
}

/* ---- a name server ---- */

struct server {
    struct loop *loop;
    struct loop_timer guard;
    int udp, tcp, peer;
    uint16_t port;
    struct loop_fd *udp_fd, *tcp_fd, *peer_fd;
    unsigned asked, by_tcp;
    const char *host;
    bool finished;
    err outcome;
};

static bool is_asked(bytes question, const char *name)
{
    BUF_AUTO wanted = BUF(300);
    put_name(&wanted, name);
    return question.len >= wanted.len &&
           text_equal_nocase(bytes_slice(question, 0, wanted.len), buf_view(&wanted));
}

static void put_answer(struct buf *out, bytes question, bool udp)
{
    unsigned type = question.at[question.len - 3];
    if (is_asked(question, "two.test") && type == DNS_A) {
        put_a(out, "two.test", 30, 1);
        put_a(out, "two.test", 20, 2);
    } else if (is_asked(question, "two.test")) {
        put_aaaa(out, "two.test", 10);
    } else if (is_asked(question, "large.test") && type == DNS_A && !udp) {
        for (uint8_t i = 0; i < 200; i++)
            put_a(out, "large.test", 30, i);
    } else if (is_asked(question, "four.test") && type == DNS_A) {
        put_a(out, "four.test", 5, 4);
    } else if (is_asked(question, "_s._tcp.test") && type == DNS_SRV) {
        put_srv(out, "_s._tcp.test", (const unsigned[]){ 1, 2, 3 }, "two.test");
        put_srv(out, "_s._tcp.test", (const unsigned[]){ 4, 5, 6 }, "nothing.test");
        put_srv(out, "_s._tcp.test", (const unsigned[]){ 7, 8, 9 }, "four.test");
    } else if (is_asked(question, "_u._tcp.test") && type == DNS_SRV) {
        put_srv(out, "_u._tcp.test", (const unsigned[]){ 1, 2, 3 }, "four");
    } else if (is_asked(question, "_t._tcp.test") && type == DNS_SRV) {
        put_srv(out, "_t._tcp.test", (const unsigned[]){ 1, 2, 3 }, "two.test");
        put_srv(out, "_t._tcp.test", (const unsigned[]){ 4, 5, 6 }, "broken.test");
    }
}

static unsigned code_of(bytes question)
{
    if (is_asked(question, "broken.test") ||
        (is_asked(question, "four.test") && question.at[question.len - 3] == DNS_AAAA))
        return SERVFAIL;
    static const char *const names[] = { "two.test",     "large.test",   "four.test",
                                         "nothing.test", "_s._tcp.test", "_t._tcp.test",
                                         "_u._tcp.test" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (is_asked(question, names[i]))
            return 0;
    }
    return NXDOMAIN;
}

static void reply(struct server *s, bytes request, struct buf *out, bool udp)
{
    BUF_AUTO records = BUF(ROOM * 4);
    bytes question = bytes_slice(request, HEAD_LEN, request.len);
    bool cut = udp && is_asked(question, "large.test") && question.at[question.len - 3] == DNS_A;
    put_answer(&records, question, udp);
    size_t answers = 0;
    for (size_t i = 0; i < records.len; answers++) {
        i += strlen((const char *)records.at + i) + 1;
        i += 10 + ((size_t)records.at[i + 8] << 8) + records.at[i + 9];
    }
    s->asked++;
    CHECK_OK(buf_add(out, bytes_slice(request, 0, 2)));
    put16(out, 0x8180 | (cut ? 0x0200 : 0) | code_of(question));
    put16(out, 1);
    put16(out, (unsigned)answers);
    put16(out, 0);
    put16(out, 0);
    CHECK_OK(buf_add(out, question));
    CHECK_OK(buf_add(out, buf_view(&records)));
}

static void on_udp(void *owner, unsigned ready)
{
    struct server *s = owner;
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    uint8_t in[512];
    BUF_AUTO out = BUF(ROOM * 5);
    (void)ready;
    ssize_t n = recvfrom(s->udp, in, sizeof in, 0, (struct sockaddr *)&from, &len);
    CHECK(n > HEAD_LEN);
    reply(s, bytes_of(in, (size_t)n), &out, true);
    CHECK(sendto(s->udp, out.at, out.len, 0, (struct sockaddr *)&from, len) == (ssize_t)out.len);
}

static void on_peer(void *owner, unsigned ready)
{
    struct server *s = owner;
    uint8_t in[512];
    BUF_AUTO out = BUF(ROOM * 5);
    (void)ready;
    ssize_t n = recv(s->peer, in, sizeof in, 0);
    if (n <= 2 + HEAD_LEN) {
        loop_fd_close(s->peer_fd);
        s->peer_fd = NULL;
        (void)close(s->peer);
        return;
    }
    s->by_tcp++;
    put16(&out, 0);
    reply(s, bytes_of(in + 2, (size_t)n - 2), &out, false);
    out.at[0] = (uint8_t)((out.len - 2) >> 8);
    out.at[1] = (uint8_t)(out.len - 2);
    CHECK(send(s->peer, out.at, out.len, MSG_NOSIGNAL) == (ssize_t)out.len);
}

static void on_tcp(void *owner, unsigned ready)
{
    struct server *s = owner;
    (void)ready;
    CHECK(s->peer_fd == NULL);
    s->peer = accept4(s->tcp, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    CHECK(s->peer >= 0);
    CHECK_OK(loop_fd_open(&s->peer_fd, s->loop, s->peer, on_peer, s));
    CHECK_OK(loop_fd_want(s->peer_fd, LOOP_READ));
}

static void on_guard(struct loop_timer *t)
{
    (void)t;
    fail_msg("the loop waits for something that does not come");
}

/* One port for both. */
static bool bind_both(struct server *s)
{
    int family = strchr(s->host, ':') != NULL ? AF_INET6 : AF_INET;
    struct sockaddr_in6 at = { .sin6_family = (sa_family_t)family };
    struct sockaddr_in *at4 = (void *)&at;
    socklen_t len = family == AF_INET ? sizeof *at4 : sizeof at;
    void *host = family == AF_INET ? (void *)&at4->sin_addr : &at.sin6_addr;
    CHECK(inet_pton(family, s->host, host) == 1);
    s->tcp = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    s->udp = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK(bind(s->tcp, (struct sockaddr *)&at, len) == 0 && listen(s->tcp, 8) == 0);
    CHECK(getsockname(s->tcp, (struct sockaddr *)&at, &len) == 0);
    s->port = ntohs(at.sin6_port); /* which both families have in one place */
    if (bind(s->udp, (struct sockaddr *)&at, len) == 0)
        return true;
    (void)close(s->tcp);
    (void)close(s->udp);
    return false;
}

static void server_open_at(struct server *s, const char *host)
{
    *s = (struct server){ .host = host };
    CHECK_OK(loop_new(&s->loop));
    while (!bind_both(s))
        continue;
    CHECK_OK(loop_fd_open(&s->udp_fd, s->loop, s->udp, on_udp, s));
    CHECK_OK(loop_fd_want(s->udp_fd, LOOP_READ));
    CHECK_OK(loop_fd_open(&s->tcp_fd, s->loop, s->tcp, on_tcp, s));
    CHECK_OK(loop_fd_want(s->tcp_fd, LOOP_READ));
    loop_timer_start(s->loop, &s->guard, GUARD_MS, on_guard);
}

static void server_open(struct server *s)
{
    server_open_at(s, "127.0.0.1");
}

static void server_close(struct server *s)
{
    loop_timer_stop(&s->guard);
    loop_fd_close(s->udp_fd);
    loop_fd_close(s->tcp_fd);
    loop_fd_close(s->peer_fd);
    loop_free(s->loop);
    (void)close(s->udp);
    (void)close(s->tcp);
}

static void on_done(void *owner, err e, const struct dns_answer *answer)
{
    struct server *s = owner;
    CHECK((answer != NULL) == (e.code == ERR_OK) && !s->finished);
    s->finished = true;
    s->outcome = e;
    if (answer != NULL)
        got = *answer;
    loop_stop(s->loop);
}

static err ask(struct server *s, enum dns_wanted wanted, const char *name)
{
    struct dns_question *q;
    const struct dns_ask asked = {
        .wanted = wanted, .name = name, .server = s->host, .server_port = s->port
    };
    s->finished = false;
    CHECK_OK(dns_ask(&q, s->loop, &asked, on_done, s));
    CHECK(!s->finished);
    loop_run(s->loop);
    CHECK(s->finished);
    return s->outcome;
}

static void finds_the_addresses_of_both_families(void **state)
{
    (void)state;
    struct server s;
    server_open(&s);
    CHECK_OK(ask(&s, DNS_ADDRESSES, "two.test"));
    CHECK(got.n == 3 && got.ttl_s == 10 && s.asked == 2 && s.by_tcp == 0);
    CHECK(strcmp(got.at[0].address, "127.0.0.1") == 0 && strcmp(got.at[2].address, "::1") == 0);
    server_close(&s);
}

static size_t open_files(void)
{
    size_t n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static bool has_ipv6(void)
{
    const struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 && bind(fd, (const struct sockaddr *)&at, sizeof at) == 0;
    if (fd >= 0)
        (void)close(fd);
    return has;
}

static void asks_a_server_of_ipv6(void **state)
{
    (void)state;
    struct server s;
    if (!has_ipv6())
        skip();
    server_open_at(&s, "::1");
    CHECK_OK(ask(&s, DNS_ADDRESSES, "two.test"));
    CHECK(got.n == 3 && s.asked == 2);
    size_t files = open_files();
    CHECK_OK(ask(&s, DNS_SERVICES, "_s._tcp.test"));
    CHECK(got.n == 4);
    CHECK_ERR(ask(&s, DNS_ADDRESSES, "unknown.test"), NOT_FOUND);
    CHECK_ERR(ask(&s, DNS_ADDRESSES, "broken.test"), UNAVAILABLE);
    CHECK(open_files() == files);
    CHECK_OK(ask(&s, DNS_ADDRESSES, "large.test"));
    CHECK(got.n == 200 && s.by_tcp == 1);
    server_close(&s);
}

static void finds_by_tcp_what_udp_has_no_room_for(void **state)
{
    (void)state;
    struct server s;
    server_open(&s);
    CHECK_OK(ask(&s, DNS_ADDRESSES, "large.test"));
    CHECK(got.n == 200 && s.by_tcp == 1);
    server_close(&s);
}

static void one_family_is_enough(void **state)
{
    (void)state;
    struct server s;
    server_open(&s);
    CHECK_OK(ask(&s, DNS_ADDRESSES, "four.test"));
    CHECK(got.n == 1 && strcmp(got.at[0].address, "127.0.0.4") == 0);
    server_close(&s);
}

static void finds_services_and_the_addresses_of_their_targets(void **state)
{
    (void)state;
    struct server s;
    server_open(&s);
    CHECK_OK(ask(&s, DNS_SERVICES, "_s._tcp.test"));
    CHECK(got.n == 4 && got.ttl_s == 5);
    CHECK(strcmp(got.at[1].target, "two.test") == 0 && got.at[1].port == 3);
    CHECK(strcmp(got.at[1].address, "127.0.0.2") == 0 && got.at[1].priority == 1);
    CHECK(strcmp(got.at[3].target, "four.test") == 0 && got.at[3].priority == 7);
    CHECK(got.at[3].weight == 8 && got.at[3].port == 9);
    server_close(&s);
}

static void tells_nothing_from_no_answer(void **state)
{
    (void)state;
    struct server s;
    server_open(&s);
    CHECK_ERR(ask(&s, DNS_ADDRESSES, "unknown.test"), NOT_FOUND);
    CHECK_ERR(ask(&s, DNS_ADDRESSES, "nothing.test"), NOT_FOUND);
    CHECK_ERR(ask(&s, DNS_SERVICES, "two.test"), NOT_FOUND);
    CHECK_ERR(ask(&s, DNS_ADDRESSES, "broken.test"), UNAVAILABLE);
    CHECK_ERR(ask(&s, DNS_SERVICES, "_t._tcp.test"), UNAVAILABLE); /* not half of it */
    server_close(&s);
}

static void the_search_list_is_for_the_name_that_was_given(void **state)
{
    (void)state;
    struct server s;
    server_open(&s);
    CHECK_OK(ask(&s, DNS_ADDRESSES, "four"));
    CHECK_OK(ask(&s, DNS_SERVICES, "_s._tcp"));
    CHECK_ERR(ask(&s, DNS_SERVICES, "_u._tcp"), NOT_FOUND); /* there is a four.test, but no four */
    server_close(&s);
}

static void what_was_cancelled_is_not_told(void **state)
{
    (void)state;
    struct server s;
    struct dns_question *q;
    server_open(&s);
    const struct dns_ask asked = { .name = "two.test",
                                   .server = "127.0.0.1",
                                   .server_port = s.port };
    CHECK_OK(dns_ask(&q, s.loop, &asked, on_done, &s));
    dns_cancel(q);
    dns_cancel(NULL);
    CHECK_OK(ask(&s, DNS_ADDRESSES, "four.test")); /* the one that was cancelled may be behind it */
    CHECK(got.n == 1);
    server_close(&s);
}

static void refuses_what_cannot_be_asked(void **state)
{
    (void)state;
    struct server s;
    struct dns_question *q;
    char name[DNS_NAME_MAX + 2];
    server_open(&s);
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    struct dns_ask asked = { .name = name };
    CHECK_ERR(dns_ask(&q, s.loop, &asked, on_done, &s), CONFIG);
    asked.name = "";
    CHECK_ERR(dns_ask(&q, s.loop, &asked, on_done, &s), CONFIG);
    asked.name = "a";
    asked.server = "localhost";
    CHECK_ERR(dns_ask(&q, s.loop, &asked, on_done, &s), CONFIG);
    server_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_addresses_and_the_smallest_time),
        cmocka_unit_test(reads_services),
        cmocka_unit_test(a_time_that_is_too_long_is_cut),
        cmocka_unit_test(more_records_than_there_is_room_for_are_left_out),
        cmocka_unit_test(every_prefix_is_refused),
        cmocka_unit_test(refuses_what_is_no_address_and_no_host),
        cmocka_unit_test(finds_the_addresses_of_both_families),
        cmocka_unit_test(asks_a_server_of_ipv6),
        cmocka_unit_test(finds_by_tcp_what_udp_has_no_room_for),
        cmocka_unit_test(one_family_is_enough),
        cmocka_unit_test(finds_services_and_the_addresses_of_their_targets),
        cmocka_unit_test(tells_nothing_from_no_answer),
        cmocka_unit_test(the_search_list_is_for_the_name_that_was_given),
        cmocka_unit_test(what_was_cancelled_is_not_told),
        cmocka_unit_test(refuses_what_cannot_be_asked),
    };
    if (setenv("LOCALDOMAIN", "test", 1) != 0) /* the search list, read with the first question */
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
