#include "tests/unit/gateway/stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/text.h"
#include "crypto/init.h"
#include "gateway/metering.h"

enum { GUARD_MS = 30000, ANSWER_MAX = 8 * 1024 * 1024 };

static void never(void *owner)
{
    (void)owner;
}

static void never_stale(void *owner, size_t place)
{
    (void)owner;
    (void)place;
}

static void load(struct stage *s, const char *const *flags)
{
    const char *argv[32] = { "gateway" };
    char *none[] = { NULL };
    int argc = 1;
    BUF_AUTO message = BUF(4096);
    for (; flags != NULL && *flags != NULL; flags++)
        argv[argc++] = *flags;
    if (config_load(&s->config, &gateway_program, &s->settings, argc, unconst(argv), none, &message)
            .code != ERR_OK)
        fail_msg("%s", buf_str(&message));
    s->settings.listen = s->listen;
}

void stage_open(struct stage *s, const char *const *flags, const char *tokens)
{
    const struct store_settings store = { .path = ":memory:" };
    BUF_AUTO message = BUF(4096);
    *s = (struct stage){ .answer = BUF(ANSWER_MAX) };
    CHECK_OK(crypto_init());
    (void)snprintf(s->folder, sizeof s->folder, "/tmp/sealgate-shard-XXXXXX");
    CHECK(mkdtemp(s->folder) != NULL);
    (void)snprintf(s->listen, sizeof s->listen, "unix:%s/g", s->folder);
    load(s, flags);
    CHECK_OK(metering_init(&s->metering));
    CHECK_OK(store_open(&s->store, &store));
    CHECK_OK(loop_new(&s->control));
    s->admit.refs = 1; /* ours */
    s->admit.hosts = &s->settings.hosts;
    s->admit.origins = &s->settings.cors_origins;
    if (tokens != NULL)
        CHECK_OK(token_set_read(&s->admit.tokens, bytes_str(tokens), &message));
    s->common = (struct shard_common){ .settings = &s->settings,
                                       .admit = &s->admit,
                                       .metering = &s->metering,
                                       .store = s->store,
                                       .held_max = s->settings.held_max,
                                       .control = s->control,
                                       .stale = never_stale,
                                       .ended = never };
    CHECK_OK(shard_new(&s->shard, &s->common));
}

void stage_close(struct stage *s)
{
    store_close(s->store);
    shard_free(s->shard);
    loop_free(s->control);
    token_set_clear(&s->admit.tokens);
    metering_clear(&s->metering);
    config_clear(&s->config);
    buf_clear(&s->answer);
    (void)unlink(s->listen + sizeof "unix:" - 1);
    (void)rmdir(s->folder);
}

static void turn(struct stage *s)
{
    loop_stop(s->shard->loop);
    loop_run(s->shard->loop);
}

static int dial(const struct stage *s)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    memcpy(at.sun_path, s->listen + sizeof "unix:" - 1, strlen(s->listen) - (sizeof "unix:" - 1));
    CHECK(connect(fd, (const struct sockaddr *)&at, sizeof at) == 0);
    return fd;
}

static void say(int fd, const char *method, const char *path, const char *headers)
{
    BUF_AUTO head = BUF(65536);
    bool has_host = strstr(headers, "Host:") != NULL;
    CHECK_OK(buf_addf(&head, "%s %s HTTP/1.1\r\n%sConnection: close\r\n%s\r\n", method, path,
                      has_host ? "" : "Host: localhost\r\n", headers));
    CHECK(send(fd, head.at, head.len, MSG_NOSIGNAL) == (ssize_t)head.len);
}

/* Until the gateway closes. */
static void take_all(struct stage *s, int fd)
{
    uint64_t until = clock_steady_ms() + GUARD_MS;
    buf_truncate(&s->answer, 0);
    for (ssize_t n = 1; n != 0;) {
        uint8_t *room;
        CHECK(clock_steady_ms() < until);
        turn(s);
        CHECK_OK(buf_reserve(&s->answer, 65536, &room));
        n = recv(fd, room, 65536, MSG_DONTWAIT);
        if (n > 0)
            buf_commit(&s->answer, (size_t)n);
    }
}

void stage_ask(struct stage *s, const char *method, const char *path, const char *headers)
{
    uint64_t status = 0;
    int fd = dial(s);
    say(fd, method, path, headers);
    take_all(s, fd);
    (void)close(fd);
    CHECK(bytes_starts(buf_view(&s->answer), BYTES_LIT("HTTP/1.1 ")));
    CHECK(text_u64(bytes_slice(buf_view(&s->answer), 9, 3), &status));
    s->status = (unsigned)status;
    turn(s);
}

void stage_ask_and_leave(struct stage *s, const char *method, const char *path)
{
    uint64_t until = clock_steady_ms() + GUARD_MS;
    int fd = dial(s);
    say(fd, method, path, "");
    while (front_requests(s->shard->front) == 0) {
        CHECK(clock_steady_ms() < until);
        turn(s);
    }
    (void)close(fd);
    while (front_requests(s->shard->front) > 0) {
        CHECK(clock_steady_ms() < until);
        turn(s);
    }
}

static size_t head_len(const struct stage *s)
{
    return text_find(buf_view(&s->answer), BYTES_LIT("\r\n\r\n"));
}

static bool take_line(bytes *rest, bytes *name, bytes *value)
{
    bytes line = bytes_slice(*rest, 0, text_find(*rest, BYTES_LIT("\r\n")));
    if (rest->len == 0)
        return false;
    *rest = bytes_slice(*rest, line.len + 2, rest->len);
    size_t colon = text_find(line, BYTES_LIT(":"));
    *name = bytes_slice(line, 0, colon);
    *value = text_trim(bytes_slice(line, colon + 1, line.len));
    return true;
}

static size_t find_header(const struct stage *s, const char *want, bytes *first)
{
    size_t n = 0;
    bytes name;
    bytes value;
    bytes rest = bytes_slice(buf_view(&s->answer), 0, head_len(s));
    while (take_line(&rest, &name, &value)) {
        if (text_equal_nocase(name, bytes_str(want)) && n++ == 0)
            *first = value;
    }
    return n;
}

bytes stage_header(const struct stage *s, const char *name)
{
    bytes value = { 0 };
    (void)find_header(s, name, &value);
    return value;
}

size_t stage_header_count(const struct stage *s, const char *name)
{
    bytes value;
    return find_header(s, name, &value);
}

bytes stage_body(const struct stage *s)
{
    return bytes_slice(buf_view(&s->answer), head_len(s) + 4, s->answer.len);
}

bool stage_says(const struct stage *s, const char *text)
{
    bytes body = stage_body(s);
    return text_find(body, bytes_str(text)) < body.len;
}
