/*
 * Each fetch is a transfer of one curl_loop. Owners are only called from finish(), when libcurl is not
 * at work, so they may start and cancel what they like.
 */
#include "gateway/fetch.h"

#include <curl/curl.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/curl_loop.h"
#include "base/httpdate.h"
#include "base/mem.h"
#include "base/text.h"

enum {
    CONNECT_MS = 10000,
    WHOLE_MS = 30000,
    KEPT_CONNECTIONS = 4,
    HOST_CONNECTIONS = 8, /* to one service; the rest waits its turn */
    RETRY_AFTER_S_MAX = 86400,
    MEDIA_MAX = 128
};

struct fetch {
    struct fetcher *fetcher;
    CURL *easy;
    fetch_done_fn *done;
    void *owner;
    struct fetch *next;
    struct fetch **prev;
    struct buf name; /* of the wanted field */
    struct buf field;
    struct buf body;
    struct curl_slist *head; /* of a POST */
    size_t head_len;
    int64_t retry_after_s;
    err why; /* why a callback of ours broke it off */
};

struct fetcher {
    struct curl_loop *curl;
    struct fetch *running;
    size_t running_n;
    uint64_t connect_ms, whole_ms;
    struct buf ca_path;
};

/* ---- the life of a fetch ---- */

static void release(struct fetch *f)
{
    if (f->prev != NULL) {
        *f->prev = f->next;
        if (f->next != NULL)
            f->next->prev = f->prev;
        f->fetcher->running_n--;
        curl_loop_remove(f->fetcher->curl, f->easy);
    }
    if (f->easy != NULL)
        curl_easy_cleanup(f->easy);
    curl_slist_free_all(f->head);
    buf_clear(&f->name);
    buf_clear(&f->field);
    buf_clear(&f->body);
    mem_free(f);
}

void fetch_cancel(struct fetch *fetch)
{
    if (fetch != NULL)
        release(fetch);
}

static err meaning(const struct fetch *f, int result)
{
    if (!err_is_ok(f->why))
        return f->why;
    switch (result) {
    case CURLE_OK:
        return OK;
    case CURLE_OPERATION_TIMEDOUT:
        FAIL(TIMEOUT);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
        FAIL(UNAVAILABLE);
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        FAIL(UNTRUSTED);
    case CURLE_FILESIZE_EXCEEDED:
        FAIL(LIMIT);
    case CURLE_OUT_OF_MEMORY:
        FAIL(NOMEM);
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
        FAIL(MALFORMED);
    default:
        FAIL(CLOSED);
    }
}

static void finish(void *transfer, int result)
{
    struct fetch *f = transfer;
    long status = 0;
    err e = meaning(f, result);
    (void)curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
    const struct fetch_answer answer = { .status = (unsigned)status,
                                         .body = buf_view(&f->body),
                                         .field = buf_view(&f->field),
                                         .retry_after_s = f->retry_after_s };
    /* Out of the list first: the owner may free the fetcher's other fetches, or start more. */
    *f->prev = f->next;
    if (f->next != NULL)
        f->next->prev = f->prev;
    f->prev = NULL;
    f->fetcher->running_n--;
    curl_loop_remove(f->fetcher->curl, f->easy);
    f->done(f->owner, e, err_is_ok(e) ? &answer : NULL);
    release(f);
}

/* ---- what comes ---- */

/* Seconds, or a date. What cannot be read counts as not said. */
static int64_t read_retry_after(bytes value)
{
    uint64_t seconds;
    int64_t date;
    int64_t now = clock_wall_s();
    if (text_u64(value, &seconds))
        return seconds < RETRY_AFTER_S_MAX ? (int64_t)seconds : RETRY_AFTER_S_MAX;
    if (!err_is_ok(httpdate_read(value, &date)))
        return -1;
    if (date <= now)
        return 0;
    return date - now < RETRY_AFTER_S_MAX ? date - now : RETRY_AFTER_S_MAX;
}

static err read_field(struct fetch *f, bytes line)
{
    size_t colon = text_find(line, BYTES_LIT(":"));
    bytes name = bytes_slice(line, 0, colon);
    bytes value = text_trim(bytes_slice(line, colon + 1, line.len));
    if (text_equal_nocase(name, BYTES_LIT("retry-after")))
        f->retry_after_s = read_retry_after(value);
    if (f->name.len == 0 || !text_equal_nocase(name, buf_view(&f->name)))
        return OK;
    ENSURE(f->field.len == 0, MALFORMED);
    return buf_add(&f->field, value);
}

/* A status line begins another head: what an interim answer said does not count. */
static err read_line(struct fetch *f, bytes line)
{
    while (bytes_ends(line, BYTES_LIT("\n")) || bytes_ends(line, BYTES_LIT("\r")))
        line.len--;
    if (!bytes_starts(line, BYTES_LIT("HTTP/")))
        return read_field(f, line);
    buf_truncate(&f->field, 0);
    f->retry_after_s = -1;
    return OK;
}

static size_t on_line(char *at, size_t size, size_t n, void *owner)
{
    struct fetch *f = owner;
    bytes line = bytes_of(at, size * n);
    f->head_len += line.len;
    f->why = f->head_len <= FETCH_HEAD_MAX ? read_line(f, line)
                                           : err_raise(ERR_LIMIT, __FILE__, __func__, __LINE__);
    return err_is_ok(f->why) ? line.len : 0;
}

static size_t on_piece(char *at, size_t size, size_t n, void *owner)
{
    struct fetch *f = owner;
    f->why = buf_add(&f->body, bytes_of(at, size * n));
    return err_is_ok(f->why) ? size * n : 0;
}

/* ---- a new fetch ---- */

static err option(CURLcode code)
{
    ENSURE(code != CURLE_OUT_OF_MEMORY, NOMEM);
    ENSURE(code == CURLE_OK, INTERNAL);
    return OK;
}

#define SET(easy, name, value) TRY(option(curl_easy_setopt(easy, name, value)))

static err set_manners(CURL *easy)
{
    SET(easy, CURLOPT_NOSIGNAL, 1L);
    SET(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(easy, CURLOPT_FOLLOWLOCATION, 0L);
    SET(easy, CURLOPT_PATH_AS_IS, 1L);
    SET(easy, CURLOPT_PROXY, "");
    SET(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    SET(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    SET(easy, CURLOPT_USERAGENT, "sealgate/" SEALGATE_VERSION);
    return OK;
}

static err add_head(struct fetch *f, const char *line)
{
    struct curl_slist *more = curl_slist_append(f->head, line);
    ENSURE(more != NULL, NOMEM);
    f->head = more;
    return OK;
}

/* Without waiting for a "100 Continue", which not every service says. */
static err set_content(struct fetch *f, const struct fetch_request *request)
{
    BUF_AUTO media = BUF(MEDIA_MAX);
    if (request->media == NULL)
        return OK;
    ENSURE(request->content.len <= FETCH_SENT_MAX, LIMIT);
    TRY(buf_addf(&media, "Content-Type: %s", request->media));
    ENSURE(buf_str(&media) != NULL, NOMEM);
    TRY(add_head(f, buf_str(&media)));
    TRY(add_head(f, "Expect:"));
    SET(f->easy, CURLOPT_HTTPHEADER, f->head);
    SET(f->easy, CURLOPT_POSTFIELDSIZE, (long)request->content.len);
    SET(f->easy, CURLOPT_COPYPOSTFIELDS, request->content.at);
    return OK;
}

static err set_options(struct fetch *f, const struct fetch_request *request)
{
    struct fetcher *from = f->fetcher;
    CURL *easy = f->easy;
    bool clear = bytes_starts(bytes_str(request->url), BYTES_LIT("http://"));
    TRY(set_manners(easy));
    SET(easy, CURLOPT_PROTOCOLS_STR, clear ? "http" : "https");
    SET(easy, CURLOPT_PRIVATE, (void *)f);
    SET(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)from->connect_ms);
    SET(easy, CURLOPT_TIMEOUT_MS, (long)from->whole_ms);
    SET(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)request->body_max);
    SET(easy, CURLOPT_HEADERFUNCTION, on_line);
    SET(easy, CURLOPT_HEADERDATA, f);
    SET(easy, CURLOPT_WRITEFUNCTION, on_piece);
    SET(easy, CURLOPT_WRITEDATA, f);
    if (from->ca_path.len > 0) {
        SET(easy, CURLOPT_CAINFO, buf_str(&from->ca_path));
        SET(easy, CURLOPT_CAPATH, NULL);
    }
    SET(easy, CURLOPT_URL, request->url);
    return set_content(f, request);
}

static err prepare(struct fetch *f, const struct fetch_request *request)
{
    f->name = BUF(FETCH_HEAD_MAX);
    f->field = BUF(request->field_max);
    f->body = BUF(request->body_max);
    f->retry_after_s = -1;
    if (request->field != NULL)
        TRY(buf_add_str(&f->name, request->field));
    f->easy = curl_easy_init();
    ENSURE(f->easy != NULL, NOMEM);
    return set_options(f, request);
}

static void link_in(struct fetch *f)
{
    struct fetcher *to = f->fetcher;
    f->next = to->running;
    f->prev = &to->running;
    if (f->next != NULL)
        f->next->prev = &f->next;
    to->running = f;
    to->running_n++;
}

static bool is_http(const char *url)
{
    bytes text = bytes_str(url);
    return text.len <= FETCH_URL_MAX &&
           (bytes_starts(text, BYTES_LIT("http://")) || bytes_starts(text, BYTES_LIT("https://")));
}

err fetch_start(struct fetch **out, struct fetcher *f, const struct fetch_request *request,
                fetch_done_fn *done, void *owner)
{
    struct fetch *made;
    ENSURE(is_http(request->url), CONFIG);
    ENSURE(f->running_n < FETCH_AT_ONCE_MAX, LIMIT);
    TRY(mem_new(&made));
    made->fetcher = f;
    made->done = done;
    made->owner = owner;
    err e = prepare(made, request);
    if (err_is_ok(e))
        e = curl_loop_add(f->curl, made->easy);
    if (!err_is_ok(e)) {
        release(made);
        return e;
    }
    link_in(made);
    *out = made;
    return OK;
}

/* ---- the fetcher ---- */

bool fetch_is_base(const char *text)
{
    static const CURLUPart refused[] = { CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_QUERY,
                                         CURLUPART_FRAGMENT };
    CURLU *url = curl_url();
    bool good =
        url != NULL && is_http(text) && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK;
    for (size_t i = 0; good && i < ARRAY_LEN(refused); i++) {
        char *part = NULL;
        good = curl_url_get(url, refused[i], &part, 0) != CURLUE_OK;
        curl_free(part);
    }
    curl_url_cleanup(url);
    return good;
}

static err set_up(struct fetcher *f, struct loop *loop, const struct fetcher_settings *s)
{
    const struct curl_loop_settings settings = { .kept_max = KEPT_CONNECTIONS,
                                                 .host_max = HOST_CONNECTIONS,
                                                 .multiplexes = true,
                                                 .done = finish };
    f->connect_ms = s->connect_ms > 0 ? s->connect_ms : CONNECT_MS;
    f->whole_ms = s->whole_ms > 0 ? s->whole_ms : WHOLE_MS;
    ENSURE(f->connect_ms <= INT32_MAX && f->whole_ms <= INT32_MAX, CONFIG);
    if (s->ca_path != NULL) {
        ENSURE(access(s->ca_path, R_OK) == 0, CONFIG);
        TRY(buf_add_str(&f->ca_path, s->ca_path));
        ENSURE(buf_str(&f->ca_path) != NULL, NOMEM);
    }
    return curl_loop_new(&f->curl, loop, &settings);
}

err fetcher_new(struct fetcher **out, struct loop *loop, const struct fetcher_settings *settings)
{
    struct fetcher *f;
    TRY(mem_new(&f));
    f->ca_path = BUF(FETCH_URL_MAX);
    err e = set_up(f, loop, settings);
    if (!err_is_ok(e)) {
        fetcher_free(f);
        return e;
    }
    *out = f;
    return OK;
}

void fetcher_free(struct fetcher *f)
{
    if (f == NULL)
        return;
    while (f->running != NULL)
        release(f->running);
    curl_loop_free(f->curl);
    buf_clear(&f->ca_path);
    mem_free(f);
}
