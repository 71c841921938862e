#include "enclave-worker/engine_http_base.h"

#include <curl/curl.h>

#include "base/attr.h"
#include "base/file.h"
#include "base/text.h"
#include "enclave-worker/engine_http_ask.h"

enum {
    URL_MAX = 16 * 1024,
    TOKEN_MAX = 4096,
    CONNECT_MS = 5000,
    FIRST_BYTE_MS = 600000,
    IDLE_MS = 120000,
    CALLS = 1024,
};

/* True for http(s)://host[:port][/path], nothing else in it. */
static bool is_base_url(const char *text)
{
    CURLU *url = curl_url();
    bool good = url != NULL && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK;
    static const CURLUPart refused[] = { CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_QUERY,
                                         CURLUPART_FRAGMENT };
    for (size_t i = 0; good && i < ARRAY_LEN(refused); i++) {
        char *part = NULL;
        good = curl_url_get(url, refused[i], &part, 0) != CURLUE_OK;
        curl_free(part);
    }
    curl_url_cleanup(url);
    return good;
}

static bytes without_v1(bytes url)
{
    while (bytes_ends(url, BYTES_LIT("/")))
        url.len--;
    if (bytes_ends(url, BYTES_LIT("/v1")))
        url.len -= 3;
    while (bytes_ends(url, BYTES_LIT("/")))
        url.len--;
    return url;
}

static err set_address(struct http_base *e, const char *text)
{
    ENSURE(text != NULL, CONFIG);
    bytes url = bytes_str(text);
    if (bytes_starts(url, BYTES_LIT("unix:"))) {
        bytes path = bytes_slice(url, 5, url.len);
        ENSURE(path.len > 1 && path.at[0] == '/', CONFIG);
        TRY(buf_add(&e->unix_path, path));
        ENSURE(buf_str(&e->unix_path) != NULL, NOMEM);
        return buf_add_str(&e->url, "http://localhost");
    }
    ENSURE(bytes_starts(url, BYTES_LIT("http://")) || bytes_starts(url, BYTES_LIT("https://")),
           CONFIG);
    ENSURE(is_base_url(text), CONFIG);
    return buf_add(&e->url, without_v1(url));
}

static err set_token(struct http_base *e, const char *path)
{
    if (path == NULL || path[0] == '\0')
        return OK;
    BUF_AUTO token = BUF(TOKEN_MAX);
    ENSURE(err_is_ok(file_read_line(&token, path)), CONFIG);
    ENSURE(token.len > 0 && http_ask_is_value(buf_view(&token)), CONFIG);
    TRY(buf_add_str(&e->authorization, "Bearer "));
    return buf_add(&e->authorization, buf_view(&token));
}

static uint64_t or_default(uint64_t value, uint64_t fallback)
{
    return value ? value : fallback;
}

void http_base_init(struct http_base *b)
{
    *b = (struct http_base){ .url = BUF(URL_MAX),
                             .unix_path = BUF(URL_MAX),
                             .authorization = BUF(TOKEN_MAX + 16),
                             .about = BUF(URL_MAX + 64) };
}

err http_base_set(struct http_base *b, const struct engine_http_settings *settings)
{
    b->connect_ms = or_default(settings->connect_ms, CONNECT_MS);
    b->first_byte_ms = or_default(settings->first_byte_ms, FIRST_BYTE_MS);
    b->idle_ms = or_default(settings->idle_ms, IDLE_MS);
    b->calls_max = (size_t)or_default(settings->calls_max, CALLS);
    ENSURE(b->calls_max <= ENGINE_HTTP_CALLS_MAX && b->connect_ms <= INT32_MAX, CONFIG);
    TRY(set_address(b, settings->url));
    TRY(set_token(b, settings->token_path));
    TRY(buf_add_str(&b->about, "engine http "));
    return buf_add(&b->about, b->unix_path.len > 0 ? bytes_str(settings->url) : buf_view(&b->url));
}

void http_base_clear(struct http_base *b)
{
    buf_clear(&b->url);
    buf_clear(&b->unix_path);
    buf_clear(&b->authorization);
    buf_clear(&b->about);
}

static bytes behind_scheme(const struct http_base *b)
{
    bytes url = buf_view(&b->url);
    return bytes_slice(url, text_find(url, BYTES_LIT("//")) + 2, url.len);
}

bytes http_base_authority(const struct http_base *b)
{
    bytes rest = behind_scheme(b);
    return bytes_slice(rest, 0, text_find(rest, BYTES_LIT("/")));
}

bytes http_base_prefix(const struct http_base *b)
{
    bytes rest = behind_scheme(b);
    return bytes_slice(rest, text_find(rest, BYTES_LIT("/")), rest.len);
}

/* The settings were checked: an authority is a host, perhaps in brackets, and perhaps a port. */
err http_base_address(const struct http_base *b, struct sock_addr *out)
{
    BUF_AUTO text = BUF(SOCK_TEXT_MAX + 16);
    if (b->unix_path.len > 0) {
        TRY(buf_add_str(&text, "unix:"));
        TRY(buf_add(&text, buf_view(&b->unix_path)));
        return sock_addr_read(buf_view(&text), out);
    }
    ENSURE(bytes_starts(buf_view(&b->url), BYTES_LIT("http://")), CONFIG);
    bytes authority = http_base_authority(b);
    size_t end = text_find(authority, BYTES_LIT("]"));
    bytes behind = bytes_slice(authority, end < authority.len ? end : 0, authority.len);
    TRY(buf_add(&text, authority));
    if (text_find(behind, BYTES_LIT(":")) == behind.len)
        TRY(buf_add_str(&text, ":80"));
    return sock_addr_read(buf_view(&text), out);
}
