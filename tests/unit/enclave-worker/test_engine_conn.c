#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "enclave-worker/engine_conn.h"
#include "tests/lib/law.h"

/* An engine that only accepts, on a unix socket, and somebody who connects to it. */
struct fixture {
    struct loop *loop;
    struct loop_timer guard;
    struct engine_conns conns;
    struct sock_addr at;
    int listening;
    int accepted;
};

/* Who dials, and has the connection then. */
struct user {
    struct fixture *f;
    struct engine_dial dial;
    struct engine_conn *conn;
    err why;
    unsigned answers;
    unsigned ready;
};

static void on_guard(struct loop_timer *t)
{
    (void)t;
    fail_msg("the loop waits for something that does not come");
}

static int set_up(void **state)
{
    static struct fixture f;
    BUF_AUTO text = BUF(128);
    f = (struct fixture){ .listening = -1, .accepted = -1 };
    CHECK_OK(buf_addf(&text, "unix:/tmp/test-engine-conn-%lu", (unsigned long)clock_steady_us()));
    CHECK_OK(sock_addr_read(buf_view(&text), &f.at));
    CHECK_OK(sock_listen(&f.at, 0, &f.listening));
    CHECK_OK(loop_new(&f.loop));
    loop_timer_start(f.loop, &f.guard, 20000, on_guard);
    f.conns.loop = f.loop;
    f.conns.addr = f.at;
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    engine_conns_clear(&f->conns);
    engine_conns_clear(&f->conns);
    loop_timer_stop(&f->guard);
    loop_free(f->loop);
    sock_close(&f->accepted);
    sock_unlisten(&f->at, &f->listening);
    return 0;
}

static void on_ready(void *owner, unsigned ready)
{
    struct user *u = owner;
    u->ready |= ready;
    CHECK_OK(engine_conn_want(u->conn, 0));
    loop_stop(u->f->loop);
}

static void on_dialled(void *owner, err why, struct engine_conn *k)
{
    struct user *u = owner;
    CHECK((why.code == ERR_OK) == (k != NULL) && !engine_dial_active(&u->dial));
    u->answers++;
    u->why = why;
    u->conn = k;
    loop_stop(u->f->loop);
}

static void dial(struct user *u)
{
    engine_dial_start(&u->dial, &u->f->conns, on_dialled, on_ready, u);
    CHECK(engine_dial_active(&u->dial));
    loop_run(u->f->loop);
    assert_int_equal(u->answers, 1);
}

static struct engine_conn *connected(struct fixture *f)
{
    struct user u = { .f = f };
    dial(&u);
    CHECK_OK(u.why);
    CHECK_OK(engine_conn_want(u.conn, 0));
    return u.conn;
}

/* One turn that does not wait. */
static void turn(struct fixture *f)
{
    loop_stop(f->loop);
    loop_run(f->loop);
}

static void a_new_one_is_connected_and_hears(void **state)
{
    struct fixture *f = *state;
    struct user u = { .f = f };
    dial(&u);
    CHECK_OK(u.why);
    CHECK(!u.conn->kept);
    CHECK_OK(sock_accept(f->listening, &f->accepted));
    CHECK(f->accepted != -1 && write(f->accepted, "x", 1) == 1);
    CHECK_OK(engine_conn_want(u.conn, LOOP_READ));
    loop_run(f->loop);
    CHECK(u.ready == LOOP_READ);
    engine_conn_close(u.conn);
    engine_conn_close(NULL);
}

static void where_nobody_listens_is_unavailable(void **state)
{
    struct fixture *f = *state;
    struct user u = { .f = f };
    sock_unlisten(&f->at, &f->listening);
    engine_dial_start(&u.dial, &f->conns, on_dialled, on_ready, &u);
    if (u.answers == 0)
        loop_run(f->loop);
    CHECK(u.answers == 1 && u.why.code == ERR_UNAVAILABLE);
}

/* Bound, so that nobody else has the port, but not listening. */
static void a_port_that_refuses_is_unavailable(void **state)
{
    struct fixture *f = *state;
    struct user u = { .f = f };
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && bind(fd, (const struct sockaddr *)&at, sizeof at) == 0);
    CHECK_OK(sock_addr_read(BYTES_LIT("127.0.0.1:0"), &f->conns.addr));
    CHECK_OK(sock_bound(fd, &f->conns.addr));
    dial(&u);
    CHECK(u.why.code == ERR_UNAVAILABLE);
    sock_close(&fd);
}

static void an_address_is_looked_up_and_connected_to(void **state)
{
    struct fixture *f = *state;
    struct user u = { .f = f };
    int fd = -1;
    CHECK_OK(sock_addr_read(BYTES_LIT("127.0.0.1:0"), &f->conns.addr));
    CHECK_OK(sock_listen(&f->conns.addr, 0, &fd));
    CHECK_OK(sock_bound(fd, &f->conns.addr));
    dial(&u);
    CHECK_OK(u.why);
    engine_conn_close(u.conn);
    sock_close(&fd);
}

static void who_cancels_hears_nothing(void **state)
{
    struct fixture *f = *state;
    struct user u = { .f = f };
    engine_dial_cancel(&u.dial);
    engine_dial_start(&u.dial, &f->conns, on_dialled, on_ready, &u);
    CHECK(engine_dial_active(&u.dial));
    engine_dial_cancel(&u.dial);
    CHECK(!engine_dial_active(&u.dial));
    CHECK_OK(sock_addr_read(BYTES_LIT("127.0.0.1:1"), &f->conns.addr));
    engine_dial_start(&u.dial, &f->conns, on_dialled, on_ready, &u);
    engine_dial_cancel(&u.dial); /* a look-up */
    turn(f);
    turn(f);
    assert_int_equal(u.answers, 0);
}

static void the_one_that_was_kept_last_is_taken_first(void **state)
{
    struct fixture *f = *state;
    struct user u = { .f = f };
    CHECK(engine_conn_take(&f->conns, on_ready, &u) == NULL);
    struct engine_conn *a = connected(f), *b = connected(f), *c = connected(f);
    engine_conn_keep(a);
    engine_conn_keep(b);
    engine_conn_keep(c);
    engine_conn_close(b); /* from their middle */
    CHECK(engine_conn_take(&f->conns, on_ready, &u) == c && c->kept && c->user == &u);
    CHECK(engine_conn_take(&f->conns, on_ready, &u) == a);
    CHECK(engine_conn_take(&f->conns, on_ready, &u) == NULL);
    engine_conn_keep(a);
    engine_conn_close(c);
}

static void a_kept_one_goes_when_the_engine_closes_it(void **state)
{
    struct fixture *f = *state;
    struct user u = { .f = f };
    engine_conn_keep(connected(f));
    CHECK_OK(sock_accept(f->listening, &f->accepted));
    turn(f);
    CHECK(f->conns.idle != NULL);
    sock_close(&f->accepted);
    for (int i = 0; i < 100 && f->conns.idle != NULL; i++)
        turn(f);
    CHECK(engine_conn_take(&f->conns, on_ready, &u) == NULL && u.answers == 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_one_is_connected_and_hears),
        TEST(where_nobody_listens_is_unavailable),
        TEST(a_port_that_refuses_is_unavailable),
        TEST(an_address_is_looked_up_and_connected_to),
        TEST(who_cancels_hears_nothing),
        TEST(the_one_that_was_kept_last_is_taken_first),
        TEST(a_kept_one_goes_when_the_engine_closes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
