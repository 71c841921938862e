#include "attest/gcp_attest.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "attest/gcp.h"
#include "base/attr.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/jws.h"

struct gcp_attester {
    struct attester base;
    struct gcp_attest_settings settings;
};

static const char *path_of(const struct gcp_attest_settings *s)
{
    return s->socket != NULL ? s->socket : GCP_SOCKET;
}

/* --- one question ------------------------------------------------------------------------------ */

static err write_request(const uint8_t *report_data, struct buf *out)
{
    char nonce[GCP_NONCE_LEN + 1];
    BUF_AUTO body = BUF(512);
    gcp_nonce(report_data, nonce);
    TRY(buf_addf(
        &body, "{\"audience\":\"" GCP_OUR_AUDIENCE "\",\"token_type\":\"PKI\",\"nonces\":[\"%s\"]}",
        nonce));
    TRY(buf_addf(out,
                 "POST /v1/token HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                 "Content-Length: %zu\r\n\r\n",
                 body.len));
    return buf_add(out, buf_view(&body));
}

static err open_socket(const char *path, int *out)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int n = snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    ENSURE(n > 0 && (size_t)n < sizeof to.sun_path, UNAVAILABLE);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ENSURE(fd >= 0, SYSTEM);
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) != 0) {
        (void)close(fd);
        FAIL(UNAVAILABLE);
    }
    *out = fd;
    return OK;
}

/* Each wait is only for what is left of the whole, so that drops of an answer do not add up. */
static err set_patience(int fd, int which, uint64_t until_ms)
{
    uint64_t now = clock_steady_ms();
    ENSURE(now < until_ms, UNAVAILABLE);
    uint64_t left = until_ms - now;
    struct timeval wait = { .tv_sec = (time_t)(left / 1000),
                            .tv_usec = (suseconds_t)(left % 1000 * 1000) };
    ENSURE(setsockopt(fd, SOL_SOCKET, which, &wait, sizeof wait) == 0, SYSTEM);
    return OK;
}

static err send_all(int fd, bytes data, uint64_t until_ms)
{
    while (data.len > 0) {
        TRY(set_patience(fd, SO_SNDTIMEO, until_ms));
        ssize_t n = send(fd, data.at, data.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        ENSURE(n > 0, UNAVAILABLE);
        data = bytes_slice(data, (size_t)n, data.len);
    }
    return OK;
}

static err receive_all(int fd, uint64_t until_ms, struct buf *out)
{
    uint8_t part[4096];
    for (;;) {
        TRY(set_patience(fd, SO_RCVTIMEO, until_ms));
        ssize_t n = recv(fd, part, sizeof part, 0);
        if (n == 0)
            return OK;
        if (n < 0 && errno == EINTR)
            continue;
        ENSURE(n > 0, UNAVAILABLE);
        ENSURE(err_is_ok(buf_add(out, bytes_of(part, (size_t)n))), UNAVAILABLE);
    }
}

static err ask_launcher(const struct gcp_attest_settings *s, bytes request, struct buf *answer)
{
    int fd;
    unsigned wait_ms = s->wait_ms > 0 ? s->wait_ms : GCP_WAIT_MS_DEFAULT;
    uint64_t until_ms = clock_steady_ms() + wait_ms;
    TRY(open_socket(path_of(s), &fd));
    err e = send_all(fd, request, until_ms);
    if (err_is_ok(e))
        e = receive_all(fd, until_ms, answer);
    (void)close(fd);
    return e;
}

/* --- its answer -------------------------------------------------------------------------------- */

static bytes trim(bytes text)
{
    while (text.len > 0 && (text.at[text.len - 1] == '\n' || text.at[text.len - 1] == '\r'))
        text.len--;
    return text;
}

/* "HTTP/1.0 200 OK", fields, an empty line, the token. One that was cut off is no token, or one that
 * nobody accepts. */
static err take_token(bytes answer, struct buf *out)
{
    struct jws *token = NULL;
    bytes end = BYTES_LIT("\r\n\r\n");
    size_t head = text_find(answer, end);
    bool good = (bytes_starts(answer, BYTES_LIT("HTTP/1.0 200 ")) ||
                 bytes_starts(answer, BYTES_LIT("HTTP/1.1 200 "))) &&
                head < answer.len;
    ENSURE(good, UNAVAILABLE);
    bytes body = trim(bytes_slice(answer, head + end.len, answer.len));
    err e = jws_read(&token, body);
    jws_free(token);
    ENSURE(e.code != ERR_NOMEM, NOMEM);
    ENSURE(err_is_ok(e), UNAVAILABLE);
    return buf_add(out, body);
}

static err quote(struct attester *a, const struct attester_ask *ask, struct buf *evidence,
                 struct buf *collateral)
{
    const struct gcp_attester *self = CONTAINER_OF(a, struct gcp_attester, base);
    BUF_AUTO request = BUF(1024);
    BUF_AUTO answer = BUF(GCP_ANSWER_MAX);
    (void)collateral;
    TRY(write_request(ask->report_data, &request));
    TRY(ask_launcher(&self->settings, buf_view(&request), &answer));
    return take_token(buf_view(&answer), evidence);
}

/* --- attester ---------------------------------------------------------------------------------- */

static void release(struct attester *a)
{
    mem_free(CONTAINER_OF(a, struct gcp_attester, base));
}

static const struct attester_kind kind = {
    .platform = GCP_PLATFORM,
    .trust = TRUST_VOUCHED,
    .quote = quote,
    .free = release,
};

err gcp_attester_new(struct attester **out, const struct gcp_attest_settings *settings)
{
    struct gcp_attester *self;
    struct stat s;
    ENSURE(stat(path_of(settings), &s) == 0 && S_ISSOCK(s.st_mode), UNAVAILABLE);
    TRY(mem_new(&self));
    self->base.kind = &kind;
    self->settings = *settings;
    *out = &self->base;
    return OK;
}
