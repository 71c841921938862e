#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/sock.h"
#include "tests/lib/law.h"

enum { THREADS = 4, LINES_EACH = 300, READ_MAX = 8 * 1024 * 1024 };

/* A pipe whose reading end does not wait. */
struct channel {
    int from;
    int to;
    struct log *log;
};

static void channel_open(struct channel *c, enum log_level least)
{
    int fds[2];
    CHECK(pipe2(fds, O_CLOEXEC) == 0);
    CHECK(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
    *c = (struct channel){ .from = fds[0], .to = fds[1] };
    CHECK_OK(log_open(&c->log, c->to, least));
}

static void channel_close(struct channel *c)
{
    log_close(c->log);
    (void)close(c->from);
    (void)close(c->to);
}

#define CHANNEL_AUTO CLEANUP(channel_close) struct channel

static void read_all(int fd, struct buf *out)
{
    for (;;) {
        uint8_t part[4096];
        ssize_t n = read(fd, part, sizeof part);
        if (n <= 0)
            return;
        CHECK_OK(buf_add(out, bytes_of(part, (size_t)n)));
    }
}

/* Cuts the next line off *rest and reads it. The caller frees. */
static struct json *take_line(bytes *rest)
{
    struct json *line = NULL;
    size_t n = 0;
    while (n < rest->len && rest->at[n] != '\n')
        n++;
    CHECK(n < rest->len);
    CHECK_OK(json_read(&line, bytes_slice(*rest, 0, n), 1));
    *rest = bytes_slice(*rest, n + 1, rest->len);
    return line;
}

static bool text_is(const struct json *line, const char *key, const char *want)
{
    bytes text;
    return json_text(json_get(line, key), &text) && bytes_equal(text, bytes_str(want));
}

static uint64_t number(const struct json *line, const char *key)
{
    uint64_t v = 0;
    CHECK(json_u64(json_get(line, key), &v));
    return v;
}

static err fail_here(void)
{
    FAIL(TIMEOUT);
}

static void writes_typed_fields_as_one_json_line(void **state)
{
    (void)state;
    CHANNEL_AUTO c;
    BUF_AUTO got = BUF(READ_MAX);
    struct log_id id;
    struct sock_addr addr = { 0 };
    const struct word route = WORD("chat");
    const uint8_t digest[] = { 0x00, 0xab };
    channel_open(&c, LOG_LEVEL_INFO);
    CHECK(log_id_set(&id, BYTES_LIT("req-1.A_z")));
    CHECK_OK(sock_addr_read(BYTES_LIT("127.0.0.1:80"), &addr));
    LOG_INFO(c.log, "exchange settled", F_U64("ms", UINT64_MAX / 2), F_I64("left", -3),
             F_BOOL("streamed", true), F_WORD("kind", "lit"), F_WORD_OF("route", route),
             F_ID("request", &id), F_HEX("digest", digest, sizeof digest), F_ERR(fail_here()),
             F_ERRNO(ECONNREFUSED), F_ADDR("worker", &addr));
    read_all(c.from, &got);
    bytes rest = buf_view(&got);
    struct json *line = take_line(&rest);
    CHECK(rest.len == 0);
    CHECK(text_is(line, "level", "info") && text_is(line, "event", "exchange settled"));
    CHECK(number(line, "ms") == UINT64_MAX / 2);
    int64_t left;
    CHECK(json_i64(json_get(line, "left"), &left) && left == -3);
    CHECK(text_is(line, "kind", "lit") && text_is(line, "route", "chat"));
    CHECK(text_is(line, "request", "req-1.A_z") && text_is(line, "digest", "00ab"));
    CHECK(text_is(line, "error", "TIMEOUT") && text_is(line, "errno", "ECONNREFUSED"));
    CHECK(text_is(line, "worker", "127.0.0.1:80"));
    bytes origin;
    CHECK(json_text(json_get(line, "origin"), &origin));
    CHECK(bytes_starts(origin, BYTES_LIT("base/test_log.c:")));
    bytes time;
    CHECK(json_text(json_get(line, "time"), &time));
    CHECK(time.len == 24 && time.at[10] == 'T' && time.at[23] == 'Z');
    json_free(line);
}

static void writes_nothing_for_what_is_not_there(void **state)
{
    (void)state;
    CHANNEL_AUTO c;
    BUF_AUTO got = BUF(READ_MAX);
    const struct log_id none = { 0 };
    channel_open(&c, LOG_LEVEL_INFO);
    LOG_WARN(c.log, "bare");
    LOG_WARN(c.log, "fields", F_ID("a", &none), F_ID("b", NULL), F_WORD_OF("c", (struct word){ 0 }),
             F_ADDR("d", NULL), F_ERR(OK));
    read_all(c.from, &got);
    bytes rest = buf_view(&got);
    struct json *bare = take_line(&rest);
    struct json *fields = take_line(&rest);
    CHECK(json_len(bare) == 3 && rest.len == 0);
    CHECK(json_kind(json_get(fields, "a")) == JSON_KIND_NULL);
    CHECK(json_kind(json_get(fields, "b")) == JSON_KIND_NULL);
    CHECK(json_kind(json_get(fields, "c")) == JSON_KIND_NULL);
    CHECK(json_kind(json_get(fields, "d")) == JSON_KIND_NULL);
    CHECK(text_is(fields, "error", "ok") && json_get(fields, "origin") == NULL);
    json_free(bare);
    json_free(fields);
}

static unsigned evaluated;

static uint64_t costly(void)
{
    evaluated++;
    return 0;
}

static void leaves_out_what_is_above_its_level(void **state)
{
    (void)state;
    CHANNEL_AUTO c;
    BUF_AUTO got = BUF(READ_MAX);
    evaluated = 0;
    channel_open(&c, LOG_LEVEL_WARN);
    LOG_DEBUG(c.log, "no", F_U64("x", costly()));
    LOG_INFO(c.log, "no", F_U64("x", costly()));
    LOG_INFO((struct log *)NULL, "no", F_U64("x", costly()));
    log_flush(NULL);
    log_batch(NULL, true);
    log_close(NULL);
    CHECK(evaluated == 0 && log_dropped(NULL) == 0);
    LOG_WARN(c.log, "yes", F_U64("x", costly()));
    LOG_ERROR(c.log, "yes", F_U64("x", costly()));
    read_all(c.from, &got);
    bytes rest = buf_view(&got);
    json_free(take_line(&rest));
    json_free(take_line(&rest));
    CHECK(rest.len == 0 && evaluated == 2);
}

static void takes_only_harmless_ids(void **state)
{
    (void)state;
    struct log_id id;
    char longest[LOG_ID_MAX + 1];
    memset(longest, 'a', sizeof longest);
    CHECK(log_id_set(&id, bytes_of(longest, LOG_ID_MAX)));
    CHECK(strlen(id.text) == LOG_ID_MAX);
    CHECK(!log_id_set(&id, bytes_of(longest, LOG_ID_MAX + 1)));
    CHECK(id.text[0] == 0);
    CHECK(!log_id_set(&id, BYTES_LIT("")));
    CHECK(!log_id_set(&id, BYTES_LIT("a\nb")));
    CHECK(!log_id_set(&id, BYTES_LIT("a\"b")));
    CHECK(!log_id_set(&id, BYTES_LIT("a b")));
    CHECK(!log_id_set(&id, BYTES_LIT("a\0b")));
}

static void cuts_a_line_between_fields(void **state)
{
    (void)state;
    CHANNEL_AUTO c;
    BUF_AUTO got = BUF(READ_MAX);
    uint8_t hex[LOG_HEX_MAX + 1] = { 0 };
    bool cut = false;
    channel_open(&c, LOG_LEVEL_INFO);
    LOG_INFO(c.log, "long", F_HEX("a", hex, sizeof hex), F_HEX("b", hex, sizeof hex),
             F_HEX("c", hex, sizeof hex), F_HEX("d", hex, sizeof hex), F_HEX("e", hex, sizeof hex),
             F_HEX("f", hex, sizeof hex), F_HEX("g", hex, sizeof hex), F_HEX("h", hex, sizeof hex),
             F_HEX("i", hex, sizeof hex), F_HEX("j", hex, sizeof hex), F_HEX("k", hex, sizeof hex),
             F_HEX("l", hex, sizeof hex), F_HEX("m", hex, sizeof hex), F_HEX("n", hex, sizeof hex),
             F_HEX("o", hex, sizeof hex), F_HEX("p", hex, sizeof hex));
    read_all(c.from, &got);
    CHECK(got.len <= LOG_LINE_MAX);
    bytes rest = buf_view(&got);
    struct json *line = take_line(&rest);
    bytes shown;
    CHECK(json_bool(json_get(line, "cut"), &cut) && cut);
    CHECK(json_text(json_get(line, "a"), &shown) && shown.len == (size_t)2 * LOG_HEX_MAX);
    CHECK(json_get(line, "p") == NULL);
    json_free(line);
}

static uint64_t count_lines(bytes rest, uint64_t *told)
{
    uint64_t n = 0;
    *told = 0;
    while (rest.len > 0) {
        struct json *line = take_line(&rest);
        if (text_is(line, "event", "log lines dropped"))
            *told += number(line, "lines");
        else
            n++;
        json_free(line);
    }
    return n;
}

/* Fills the descriptor until lines are lost, then makes room. */
static void check_drops(struct log *log, int from)
{
    BUF_AUTO got = BUF(READ_MAX);
    uint64_t written = 0;
    uint64_t told;
    while (log_dropped(log) < 10) {
        LOG_INFO(log, "tick", F_U64("n", written));
        written++;
    }
    for (int i = 0; i < 1000; i++) {
        read_all(from, &got);
        log_flush(log);
    }
    LOG_INFO(log, "tick", F_U64("n", written));
    written++;
    read_all(from, &got);
    uint64_t lines = count_lines(buf_view(&got), &told);
    CHECK(told == 10 && log_dropped(log) == 10);
    CHECK(lines + told == written);
}

static void drops_and_counts_when_a_pipe_is_full(void **state)
{
    (void)state;
    CHANNEL_AUTO c;
    channel_open(&c, LOG_LEVEL_INFO);
    check_drops(c.log, c.from);
}

static void drops_and_counts_when_a_socket_is_full(void **state)
{
    (void)state;
    int fds[2];
    struct log *log;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    CHECK(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
    CHECK_OK(log_open(&log, fds[1], LOG_LEVEL_INFO));
    check_drops(log, fds[0]);
    log_close(log);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void bears_a_reader_that_left(void **state)
{
    (void)state;
    struct channel c;
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    channel_open(&c, LOG_LEVEL_INFO);
    CHECK(close(c.from) == 0);
    for (int i = 0; i < 2000; i++)
        LOG_ERROR(c.log, "to nobody");
    CHECK(log_dropped(c.log) > 0);
    log_close(c.log);
    (void)close(c.to);
}

static void batches_until_flushed(void **state)
{
    (void)state;
    CHANNEL_AUTO c;
    BUF_AUTO got = BUF(READ_MAX);
    channel_open(&c, LOG_LEVEL_INFO);
    log_batch(c.log, true);
    LOG_INFO(c.log, "one");
    LOG_INFO(c.log, "two");
    read_all(c.from, &got);
    CHECK(got.len == 0);
    log_flush(c.log);
    read_all(c.from, &got);
    CHECK(got.len > 0);
    buf_truncate(&got, 0);
    LOG_INFO(c.log, "three");
    LOG_ERROR(c.log, "errors do not wait");
    read_all(c.from, &got);
    bytes rest = buf_view(&got);
    json_free(take_line(&rest));
    json_free(take_line(&rest));
    buf_truncate(&got, 0);
    for (int i = 0; i < 1000 && got.len == 0; i++) {
        LOG_INFO(c.log, "half a full buffer");
        read_all(c.from, &got);
    }
    CHECK(got.len > LOG_HELD_MAX / 2);
    CHECK(log_dropped(c.log) == 0);
}

static void *write_lines(void *arg)
{
    for (uint64_t i = 0; i < LINES_EACH; i++)
        LOG_INFO((struct log *)arg, "tick", F_U64("n", i));
    return NULL;
}

static void keeps_the_lines_of_threads_apart(void **state)
{
    (void)state;
    char path[] = "/tmp/test_log_XXXXXX";
    BUF_AUTO got = BUF(READ_MAX);
    pthread_t threads[THREADS];
    struct log *log;
    uint64_t told;
    int fd = mkstemp(path);
    CHECK(fd >= 0 && unlink(path) == 0);
    CHECK_OK(log_open(&log, fd, LOG_LEVEL_INFO));
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, write_lines, log) == 0);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(log_dropped(log) == 0);
    log_close(log);
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    read_all(fd, &got);
    CHECK(count_lines(buf_view(&got), &told) == (uint64_t)THREADS * LINES_EACH);
    (void)close(fd);
}

static void refuses_what_is_no_descriptor(void **state)
{
    (void)state;
    struct log *log = NULL;
    CHECK_ERR(log_open(&log, -1, LOG_LEVEL_INFO), SYSTEM);
    CHECK(log == NULL);
}

static err open_and_write(void *arg)
{
    struct log *log;
    TRY(log_open(&log, *(int *)arg, LOG_LEVEL_INFO));
    LOG_INFO(log, "tick", F_U64("n", 1));
    log_close(log);
    return OK;
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    law_every_allocation_fails_once(open_and_write, &fd);
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_typed_fields_as_one_json_line),
        cmocka_unit_test(writes_nothing_for_what_is_not_there),
        cmocka_unit_test(leaves_out_what_is_above_its_level),
        cmocka_unit_test(takes_only_harmless_ids),
        cmocka_unit_test(cuts_a_line_between_fields),
        cmocka_unit_test(drops_and_counts_when_a_pipe_is_full),
        cmocka_unit_test(drops_and_counts_when_a_socket_is_full),
        cmocka_unit_test(bears_a_reader_that_left),
        cmocka_unit_test(batches_until_flushed),
        cmocka_unit_test(keeps_the_lines_of_threads_apart),
        cmocka_unit_test(refuses_what_is_no_descriptor),
        cmocka_unit_test(survives_every_failing_allocation),
    };
    return cmocka_run_group_tests_name("base/log", tests, NULL, NULL);
}
