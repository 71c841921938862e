/*
 * Listeners on loopback. One that answers nobody is a listener whose queue is full: the kernel drops what
 * comes, as a broken path does.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/dial.h"
#include "base/mem.h"
#include "tests/lib/law.h"

enum { GUARD_MS = 60000, LONG_MS = 50000, FILLERS_MAX = 64 };

static struct loop *loop;
static struct loop_timer guard;
static unsigned told;
static err outcome;
static int winner;
static const struct sock_addr HOST = { .kind = SOCK_KIND_TCP, .host = "w" };

static void on_guard(struct loop_timer *t)
{
    (void)t;
    fail_msg("the loop waits for something that does not come");
}

static int open_stage(void **state)
{
    (void)state;
    told = 0;
    winner = -1;
    CHECK_OK(loop_new(&loop));
    loop_timer_start(loop, &guard, GUARD_MS, on_guard);
    return 0;
}

static int close_stage(void **state)
{
    (void)state;
    sock_close(&winner);
    loop_timer_stop(&guard);
    loop_free(loop);
    return 0;
}

static int listen_at(struct sockaddr_storage *at, int backlog)
{
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)at;
    socklen_t len = sizeof *in;
    *at = (struct sockaddr_storage){ 0 };
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)in, len) == 0);
    if (backlog >= 0)
        CHECK(listen(fd, backlog) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)in, &len) == 0);
    return fd;
}

struct silence {
    int fd;
    int fillers[FILLERS_MAX];
    size_t n;
};

static void listen_silently(struct silence *s, struct sockaddr_storage *at)
{
    s->fd = listen_at(at, 0);
    for (s->n = 0; s->n < FILLERS_MAX; s->n++) {
        CHECK_OK(sock_connect(&HOST, at, &s->fillers[s->n]));
        struct pollfd p = { .fd = s->fillers[s->n], .events = POLLOUT };
        if (poll(&p, 1, 200) == 0)
            break;
    }
    CHECK(s->n < FILLERS_MAX);
    s->n++;
}

static void end_silence(struct silence *s)
{
    for (size_t i = 0; i < s->n; i++)
        sock_close(&s->fillers[i]);
    sock_close(&s->fd);
}

static void on_done(void *owner, err e, int fd)
{
    CHECK(owner == &told && (fd >= 0) == err_is_ok(e));
    told++;
    outcome = e;
    winner = fd;
    loop_stop(loop);
}

static err dial(const struct sockaddr_storage *addrs, size_t n, uint64_t within_ms)
{
    struct dial *d;
    const struct dial_target target = {
        .at = &HOST, .addrs = addrs, .n = n, .within_ms = within_ms
    };
    TRY(dial_start(&d, loop, &target, on_done, &told));
    CHECK(told == 0);
    loop_run(loop);
    CHECK(told == 1);
    return outcome;
}

static bool is_connected_to(const struct sockaddr_storage *at)
{
    struct sockaddr_in peer;
    socklen_t len = sizeof peer;
    return getpeername(winner, (struct sockaddr *)&peer, &len) == 0 &&
           peer.sin_port == ((const struct sockaddr_in *)(const void *)at)->sin_port;
}

static void connects_to_the_first_that_answers_at_once(void **state)
{
    (void)state;
    struct sockaddr_storage at[2];
    int a = listen_at(&at[0], 8), b = listen_at(&at[1], 8);
    CHECK_OK(dial(at, 2, LONG_MS));
    CHECK(is_connected_to(&at[0]));
    (void)close(a);
    (void)close(b);
}

static void goes_on_at_once_when_one_refuses(void **state)
{
    (void)state;
    struct sockaddr_storage at[3];
    int a = listen_at(&at[0], -1), b = listen_at(&at[1], -1), c = listen_at(&at[2], 8);
    CHECK_OK(dial(at, 3, LONG_MS));
    CHECK(is_connected_to(&at[2]));
    (void)close(a);
    (void)close(b);
    (void)close(c);
}

static void tries_the_next_beside_one_that_does_not_answer(void **state)
{
    (void)state;
    struct sockaddr_storage at[3];
    struct silence a, b;
    listen_silently(&a, &at[0]);
    listen_silently(&b, &at[1]);
    int c = listen_at(&at[2], 8);
    CHECK_OK(dial(at, 3, LONG_MS));
    CHECK(is_connected_to(&at[2]));
    end_silence(&a);
    end_silence(&b);
    (void)close(c);
}

struct late {
    struct loop_timer timer;
    int listening;
    unsigned turns;
};

/* Once others have been tried, too. */
static void accept_all(struct loop_timer *t)
{
    struct late *late = CONTAINER_OF(t, struct late, timer);
    int fd = -1;
    while (late->turns++ > 10 && sock_accept(late->listening, &fd).code == ERR_OK && fd >= 0)
        sock_close(&fd);
    loop_timer_start(loop, t, DIAL_NEXT_MS / 5, accept_all);
}

static void one_that_answers_late_may_still_win(void **state)
{
    (void)state;
    struct sockaddr_storage at[2];
    struct silence a;
    listen_silently(&a, &at[0]);
    int b = listen_at(&at[1], -1);
    struct late late = { .listening = a.fd };
    CHECK(fcntl(a.fd, F_SETFL, O_NONBLOCK) == 0);
    accept_all(&late.timer);
    CHECK_OK(dial(at, 2, LONG_MS));
    CHECK(is_connected_to(&at[0]) && late.turns > 5);
    loop_timer_stop(&late.timer);
    end_silence(&a);
    (void)close(b);
}

static void fails_when_all_refuse_and_when_time_is_over(void **state)
{
    (void)state;
    struct sockaddr_storage at[2];
    struct silence s;
    int a = listen_at(&at[0], -1), b = listen_at(&at[1], -1);
    CHECK_ERR(dial(at, 2, LONG_MS), UNAVAILABLE);
    (void)close(b);
    told = 0;
    listen_silently(&s, &at[1]);
    CHECK_ERR(dial(at, 2, 400), TIMEOUT);
    end_silence(&s);
    (void)close(a);
}

static void what_was_cancelled_is_not_told(void **state)
{
    (void)state;
    struct sockaddr_storage at;
    struct dial *d;
    int a = listen_at(&at, 8);
    const struct dial_target target = { .at = &HOST, .addrs = &at, .n = 1, .within_ms = LONG_MS };
    CHECK_OK(dial_start(&d, loop, &target, on_done, &told));
    dial_cancel(d);
    dial_cancel(NULL);
    for (int i = 0; i < 10; i++) {
        loop_stop(loop);
        loop_run(loop);
    }
    CHECK(told == 0);
    (void)close(a);
}

static void other_kinds_of_sockets_have_one_address(void **state)
{
    (void)state;
    char path[] = "/tmp/sealgate-dial-XXXXXX";
    struct sock_addr at = { .kind = SOCK_KIND_UNIX };
    struct dial *d;
    int fd;
    CHECK(mkdtemp(path) != NULL);
    (void)snprintf(at.path, sizeof at.path, "%s/s", path);
    const struct dial_target target = { .at = &at, .within_ms = LONG_MS };
    CHECK_ERR(dial_start(&d, loop, &target, on_done, &told), UNAVAILABLE);
    CHECK_OK(sock_listen(&at, 0, &fd));
    CHECK_OK(dial_start(&d, loop, &target, on_done, &told));
    loop_run(loop);
    CHECK(told == 1 && winner >= 0);
    sock_unlisten(&at, &fd);
    (void)rmdir(path);
}

static void order_is(const char *before, const char *after)
{
    struct sockaddr_storage addrs[LOOP_ADDRS_MAX] = { 0 };
    size_t n = strlen(before);
    for (size_t i = 0; i < n; i++)
        addrs[i].ss_family = before[i] < 'a' ? AF_INET6 : AF_INET;
    for (size_t i = 0; i < n; i++)
        memcpy((char *)&addrs[i] + 8, &before[i], 1);
    dial_alternate(addrs, n);
    for (size_t i = 0; i < n; i++)
        CHECK(((const char *)&addrs[i])[8] == after[i]);
}

static void families_alternate_and_keep_their_order(void **state)
{
    (void)state;
    order_is("", "");
    order_is("A", "A");
    order_is("ABCabc", "AaBbCc");
    order_is("aABC", "aABC");
    order_is("abcA", "aAbc");
    order_is("abc", "abc");
    order_is("ABabcd", "AaBbcd");
}

static err make(void *arg)
{
    struct dial *d;
    const struct dial_target target = { .at = &HOST, .addrs = arg, .n = 1, .within_ms = LONG_MS };
    TRY(dial_start(&d, loop, &target, on_done, &told));
    dial_cancel(d);
    return OK;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct sockaddr_storage at;
    int a = listen_at(&at, 64);
    law_every_allocation_fails_once(make, &at);
    (void)close(a);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_stage, close_stage)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(connects_to_the_first_that_answers_at_once),
        TEST(goes_on_at_once_when_one_refuses),
        TEST(tries_the_next_beside_one_that_does_not_answer),
        TEST(one_that_answers_late_may_still_win),
        TEST(fails_when_all_refuse_and_when_time_is_over),
        TEST(what_was_cancelled_is_not_told),
        TEST(other_kinds_of_sockets_have_one_address),
        TEST(families_alternate_and_keep_their_order),
        TEST(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
