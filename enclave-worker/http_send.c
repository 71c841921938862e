#include "enclave-worker/http_send.h"

#include "base/sock.h"
#include "enclave-worker/engine_http_ask.h"

void http_send_init(struct http_send *s)
{
    *s = (struct http_send){ .first = BUF(HTTP_SEND_MAX) };
}

void http_send_clear(struct http_send *s)
{
    buf_clear(&s->first);
    http_send_init(s);
}

err http_send_set(struct http_send *s, const struct engine_request *request,
                  const struct http_base *to)
{
    TRY(http_ask_write(&s->first, request, http_base_authority(to), http_base_prefix(to),
                       buf_view(&to->authorization)));
    if (bytes_equal(request->method, BYTES_LIT("HEAD")))
        return OK;
    if (request->body.len <= HTTP_SEND_SMALL_MAX)
        return buf_add(&s->first, request->body);
    s->large = request->body;
    return OK;
}

static enum sock_step send_part(struct http_send *s, int fd, bytes part, size_t *at, bool last)
{
    enum sock_step step = SOCK_MOVED;
    while (step == SOCK_MOVED && *at < part.len) {
        size_t n = 0;
        bytes rest = bytes_slice(part, *at, part.len);
        step = last ? sock_send(fd, rest, &n) : sock_send_part(fd, rest, &n);
        if (step == SOCK_MOVED)
            *at += n;
    }
    if (step == SOCK_BROKEN || step == SOCK_ENDED)
        s->refused = true;
    return step;
}

void http_send_some(struct http_send *s, int fd)
{
    bool whole = s->large.len == 0;
    if (send_part(s, fd, buf_view(&s->first), &s->first_at, whole) == SOCK_MOVED)
        (void)send_part(s, fd, s->large, &s->large_at, true);
}

bool http_send_is_done(const struct http_send *s)
{
    return s->first_at == s->first.len && s->large_at == s->large.len;
}

bool http_send_wants(const struct http_send *s)
{
    return !s->refused && !http_send_is_done(s);
}

void http_send_again(struct http_send *s)
{
    s->first_at = 0;
    s->large_at = 0;
    s->refused = false;
}

void http_send_forget(struct http_send *s)
{
    if (!http_send_is_done(s))
        return;
    buf_clear(&s->first);
    s->first_at = 0;
}
