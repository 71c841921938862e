#include "cli/fetch.h"

#include <curl/curl.h>

struct running {
    const struct fetch *fetch;
    err failed;
};

static size_t on_piece(char *data, size_t size, size_t n, void *owner)
{
    struct running *r = owner;
    bytes in = bytes_of(data, size * n);
    if (r->fetch->piece != NULL)
        return r->fetch->piece(r->fetch->owner, in) ? in.len : 0;
    r->failed = buf_add(r->fetch->out, in);
    return r->failed.code == ERR_OK ? in.len : 0;
}

static err add_header(struct curl_slist **list, const char *name, const char *value)
{
    BUF_AUTO line = BUF(8192);
    TRY(buf_addf(&line, "%s: %s", name, value));
    struct curl_slist *longer = curl_slist_append(*list, buf_str(&line));
    ENSURE(longer != NULL, NOMEM);
    *list = longer;
    return OK;
}

static err add_headers(const struct fetch *f, struct curl_slist **list)
{
    BUF_AUTO bearer = BUF(8192);
    if (f->accept != NULL)
        TRY(add_header(list, "accept", f->accept));
    if (f->body.len > 0)
        TRY(add_header(list, "content-type", "application/json"));
    if (f->token == NULL)
        return OK;
    TRY(buf_addf(&bearer, "Bearer %s", f->token));
    return add_header(list, "authorization", buf_str(&bearer));
}

static void set_options(CURL *curl, const struct fetch *f, struct running *r)
{
    (void)curl_easy_setopt(curl, CURLOPT_URL, f->url);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 10L);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, f->timeout_s);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_piece);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, r);
    if (f->unix_path != NULL)
        (void)curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, f->unix_path);
    if (f->ca_path != NULL)
        (void)curl_easy_setopt(curl, CURLOPT_CAINFO, f->ca_path);
    if (f->http2)
        (void)curl_easy_setopt(curl, CURLOPT_HTTP_VERSION,
                               (long)CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE);
    if (f->body.len > 0) {
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)f->body.len);
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, (const char *)f->body.at);
    }
}

static err outcome(CURL *curl, CURLcode code, const struct running *r, struct buf *message)
{
    long status = 0;
    if (code == CURLE_OK)
        return OK;
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    (void)buf_add_str(message, curl_easy_strerror(code));
    TRY(r->failed);
    ENSURE(status == 0, CLOSED);
    FAIL(UNAVAILABLE);
}

err fetch_run(const struct fetch *f, long *status, struct buf *message)
{
    struct running r = { .fetch = f };
    struct curl_slist *headers = NULL;
    CURL *curl = curl_easy_init();
    ENSURE(curl != NULL, NOMEM);
    set_options(curl, f, &r);
    err e = add_headers(f, &headers);
    if (e.code == ERR_OK) {
        (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
        e = outcome(curl, curl_easy_perform(curl), &r, message);
        (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return e;
}
