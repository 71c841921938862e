#include "enclave-worker/engine_http_ask.h"

#include <curl/curl.h>
#include <string.h>

#include "base/attr.h"
#include "base/text.h"

enum {
    SMALL_BODY_MAX = 64 * 1024, /* what libcurl sends together with the head */
    URL_MAX = 16 * 1024,
    VALUE_MAX = 32 * 1024, /* bytes of one field */
};

static size_t give_body(char *room, size_t size, size_t n, void *owner)
{
    struct http_ask *a = owner;
    if (a->given_up)
        return CURL_READFUNC_ABORT;
    bytes part = bytes_slice(a->large, a->sent, size * n);
    if (part.len > 0)
        memcpy(room, part.at, part.len);
    a->sent += part.len;
    return part.len;
}

/* A kept connection turned out to be closed: libcurl starts anew on another one. */
static int rewind_body(void *owner, curl_off_t offset, int origin)
{
    struct http_ask *a = owner;
    if (a->given_up || origin != SEEK_SET || offset < 0 || (size_t)offset > a->large.len)
        return CURL_SEEKFUNC_FAIL;
    a->sent = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

bool http_ask_is_value(bytes b)
{
    for (size_t i = 0; i < b.len; i++) {
        if ((b.at[i] < 0x20 && b.at[i] != '\t') || b.at[i] == 0x7f)
            return false;
    }
    return true;
}

static bool is_path(bytes b)
{
    for (size_t i = 0; i < b.len; i++) {
        if (b.at[i] <= 0x20 || b.at[i] >= 0x7f || b.at[i] == '#')
            return false;
    }
    return b.len > 0 && b.at[0] == '/';
}

/* What belongs to the connection, or would let a request say two things about itself. */
static bool is_ours_to_say(bytes name)
{
    static const char *const names[] = {
        "host",       "content-length", "transfer-encoding", "expect",
        "connection", "keep-alive",     "upgrade",           "te",
        "trailer",    "accept-encoding"
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (text_equal_nocase(name, bytes_str(names[i])))
            return true;
    }
    return text_equal_nocase(bytes_slice(name, 0, 6), BYTES_LIT("proxy-"));
}

static err add_line(struct http_ask *a, struct buf *line)
{
    const char *text = buf_str(line);
    ENSURE(text != NULL, NOMEM);
    struct curl_slist *all = curl_slist_append(a->lines, text);
    ENSURE(all != NULL, NOMEM);
    a->lines = all;
    return OK;
}

/* libcurl wants an empty value written as "name;". */
static err add_field(struct http_ask *a, bytes name, bytes value)
{
    BUF_AUTO line = BUF(VALUE_MAX);
    TRY(buf_add(&line, name));
    TRY(buf_add_str(&line, value.len > 0 ? ": " : ";"));
    TRY(buf_add(&line, value));
    return add_line(a, &line);
}

/* "name:" makes libcurl leave out a field that it would add by itself. */
static err leave_out(struct http_ask *a, const char *name)
{
    BUF_AUTO line = BUF(64);
    TRY(buf_addf(&line, "%s:", name));
    return add_line(a, &line);
}

/* Replaced by the engine's own, or ours to say. */
static bool is_left_out(bytes name, bytes authorization)
{
    return is_ours_to_say(name) ||
           (authorization.len > 0 && text_equal_nocase(name, BYTES_LIT("authorization")));
}

static err add_fields(struct http_ask *a, const struct engine_request *request, bytes authorization)
{
    bool has_type = false;
    bool has_accept = false;
    for (size_t i = 0; i < request->fields_n; i++) {
        bytes name = request->fields[i].name;
        bytes value = request->fields[i].value;
        ENSURE(text_is_token(name) && http_ask_is_value(value), MALFORMED);
        if (is_left_out(name, authorization))
            continue;
        has_type |= text_equal_nocase(name, BYTES_LIT("content-type"));
        has_accept |= text_equal_nocase(name, BYTES_LIT("accept"));
        TRY(add_field(a, name, value));
    }
    if (authorization.len > 0)
        TRY(add_field(a, BYTES_LIT("authorization"), authorization));
    TRY(leave_out(a, "Expect"));
    if (!has_accept)
        TRY(leave_out(a, "Accept"));
    return has_type ? OK : leave_out(a, "Content-Type");
}

static err option(CURLcode code)
{
    ENSURE(code != CURLE_OUT_OF_MEMORY, NOMEM);
    ENSURE(code == CURLE_OK, INTERNAL);
    return OK;
}

#define SET(easy, name, value) TRY(option(curl_easy_setopt(easy, name, value)))

static err set_body(struct http_ask *a, bytes body)
{
    SET(a->easy, CURLOPT_POST, 1L);
    SET(a->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    if (body.len > SMALL_BODY_MAX) {
        a->large = body;
        return OK;
    }
    TRY(buf_add(&a->small, body));
    SET(a->easy, CURLOPT_POSTFIELDS, body.len > 0 ? (const char *)a->small.at : "");
    return OK;
}

static err set_method(struct http_ask *a, const struct engine_request *request)
{
    SET(a->easy, CURLOPT_CUSTOMREQUEST, NULL);
    SET(a->easy, CURLOPT_HTTPGET, 1L);
    a->no_body = bytes_equal(request->method, BYTES_LIT("HEAD"));
    if (a->no_body) {
        SET(a->easy, CURLOPT_NOBODY, 1L);
        return OK;
    }
    bool post = bytes_equal(request->method, BYTES_LIT("POST"));
    if (post || request->body.len > 0)
        TRY(set_body(a, request->body));
    if (post || (request->body.len == 0 && bytes_equal(request->method, BYTES_LIT("GET"))))
        return OK;
    BUF_AUTO method = BUF(32);
    ENSURE(request->method.len <= method.max, MALFORMED);
    TRY(buf_add(&method, request->method));
    const char *text = buf_str(&method);
    ENSURE(text != NULL, NOMEM);
    SET(a->easy, CURLOPT_CUSTOMREQUEST, text);
    return OK;
}

static err check(const struct engine_request *request)
{
    ENSURE(request->fields_n <= ENGINE_FIELDS_MAX, LIMIT);
    ENSURE(is_path(request->path) && text_is_token(request->method), MALFORMED);
    return OK;
}

err http_ask_set(struct http_ask *a, const struct engine_request *request, bytes base_url,
                 bytes authorization)
{
    TRY(check(request));
    BUF_AUTO url = BUF(URL_MAX);
    TRY(buf_add(&url, base_url));
    TRY(buf_add(&url, request->path));
    const char *text = buf_str(&url);
    ENSURE(text != NULL, NOMEM);
    SET(a->easy, CURLOPT_URL, text);
    TRY(set_method(a, request));
    TRY(add_fields(a, request, authorization));
    SET(a->easy, CURLOPT_HTTPHEADER, a->lines);
    return OK;
}

static err write_field(struct buf *out, bytes name, bytes value)
{
    TRY(buf_add(out, name));
    TRY(buf_add_str(out, value.len > 0 ? ": " : ":"));
    TRY(buf_add(out, value));
    return buf_add_str(out, "\r\n");
}

static err write_fields(struct buf *out, const struct engine_request *request, bytes authorization)
{
    for (size_t i = 0; i < request->fields_n; i++) {
        const struct engine_field *f = &request->fields[i];
        ENSURE(text_is_token(f->name) && http_ask_is_value(f->value), MALFORMED);
        if (!is_left_out(f->name, authorization))
            TRY(write_field(out, f->name, f->value));
    }
    return authorization.len > 0 ? write_field(out, BYTES_LIT("authorization"), authorization) : OK;
}

static bool is_with_length(const struct engine_request *request)
{
    return request->body.len > 0 || bytes_equal(request->method, BYTES_LIT("POST")) ||
           bytes_equal(request->method, BYTES_LIT("PUT"));
}

err http_ask_write(struct buf *out, const struct engine_request *request, bytes authority,
                   bytes prefix, bytes authorization)
{
    TRY(check(request));
    TRY(buf_add(out, request->method));
    TRY(buf_add_u8(out, ' '));
    TRY(buf_add(out, prefix));
    TRY(buf_add(out, request->path));
    TRY(buf_add_str(out, " HTTP/1.1\r\n"));
    TRY(write_field(out, BYTES_LIT("Host"), authority));
    TRY(write_fields(out, request, authorization));
    if (is_with_length(request) && !bytes_equal(request->method, BYTES_LIT("HEAD")))
        TRY(buf_addf(out, "Content-Length: %zu\r\n", request->body.len));
    return buf_add_str(out, "\r\n");
}

err http_ask_init(struct http_ask *a, void *easy)
{
    *a = (struct http_ask){ .easy = easy, .small = BUF(SMALL_BODY_MAX) };
    SET(easy, CURLOPT_READFUNCTION, give_body);
    SET(easy, CURLOPT_READDATA, a);
    SET(easy, CURLOPT_SEEKFUNCTION, rewind_body);
    SET(easy, CURLOPT_SEEKDATA, a);
    return OK;
}

void http_ask_clear(struct http_ask *a)
{
    (void)curl_easy_setopt(a->easy, CURLOPT_POSTFIELDS, NULL);
    (void)curl_easy_setopt(a->easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(a->lines);
    buf_clear(&a->small);
    *a = (struct http_ask){ .easy = a->easy, .small = BUF(SMALL_BODY_MAX) };
}
