/* Against a server on the same loop, so that nothing here depends on how fast anything is. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "crypto/init.h"
#include "gateway/fetch.h"
#include "tests/unit/gateway/vendor.h"

enum { PATIENCE_MS = 20000, BODY_MAX = 1000, FIELD_MAX = 100, SHORT_MS = 100 };

static char folder[64] = "/tmp/sealgate-fetch-XXXXXX";
static char ca[128], other_ca[128];
static struct loop *loop;
static struct vendor vendor;
static struct fetcher *fetcher;

/* What was said in the end. */
static struct {
    bool done;
    err e;
    unsigned status;
    struct buf body, field;
    int64_t retry_after_s;
} said;

static void on_done(void *owner, err e, const struct fetch_answer *answer)
{
    CHECK(owner == &said && !said.done);
    said.done = true;
    said.e = e;
    CHECK((answer != NULL) == err_is_ok(e));
    if (answer == NULL)
        return;
    said.status = answer->status;
    said.retry_after_s = answer->retry_after_s;
    CHECK_OK(buf_add(&said.body, answer->body));
    CHECK_OK(buf_add(&said.field, answer->field));
}

static void turn(void)
{
    loop_stop(loop);
    loop_run(loop);
}

static void wait_for_it(void)
{
    uint64_t give_up = clock_steady_ms() + PATIENCE_MS;
    for (turn(); !said.done; turn()) {
        if (clock_steady_ms() > give_up)
            fail_msg("no answer");
        (void)poll(NULL, 0, 1);
    }
}

static void forget(void)
{
    buf_clear(&said.body);
    buf_clear(&said.field);
    memset(&said, 0, sizeof said);
    said.body = BUF(VENDOR_BODY_MAX);
    said.field = BUF(FETCH_HEAD_MAX);
}

static struct fetch *start(const char *base, const char *path)
{
    struct fetch *f;
    char url[256];
    (void)snprintf(url, sizeof url, "%s%s", base, path);
    forget();
    CHECK_OK(fetch_start(
        &f, fetcher,
        &(struct fetch_request){
            .url = url, .field = "X-Wanted", .field_max = FIELD_MAX, .body_max = BODY_MAX },
        on_done, &said));
    CHECK(!said.done);
    return f;
}

static err get(const char *path)
{
    (void)start(vendor.base, path);
    wait_for_it();
    return said.e;
}

static void open_with(const struct fetcher_settings *settings)
{
    CHECK_OK(loop_new(&loop));
    vendor_open(&vendor, loop, folder);
    CHECK_OK(fetcher_new(&fetcher, loop, settings));
}

static int open_all(void **state)
{
    (void)state;
    open_with(&(struct fetcher_settings){ .ca_path = ca });
    return 0;
}

static int open_impatient(void **state)
{
    (void)state;
    open_with(&(struct fetcher_settings){ .ca_path = ca, .whole_ms = SHORT_MS });
    return 0;
}

static int open_distrustful(void **state)
{
    (void)state;
    open_with(&(struct fetcher_settings){ .ca_path = other_ca });
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    fetcher_free(fetcher);
    vendor_close(&vendor);
    loop_free(loop);
    buf_clear(&said.body);
    buf_clear(&said.field);
    return 0;
}

/* ---- */

static void gives_status_body_and_the_wanted_field(void **state)
{
    (void)state;
    struct vendor_route *r = vendor_route(&vendor, "/a?b=c", BYTES_LIT("hello"));
    vendor_add_field(r, "x-WANTED", BYTES_LIT("a b"));
    vendor_add_field(r, "X-Other", BYTES_LIT("no"));
    CHECK_OK(get("/a?b=c"));
    CHECK(said.status == 200 && said.retry_after_s == -1);
    CHECK_BYTES(buf_view(&said.body), BYTES_LIT("hello"));
    CHECK_BYTES(buf_view(&said.field), BYTES_LIT("a%20b"));
    CHECK_OK(get("/nothing"));
    CHECK(said.status == 404 && said.field.len == 0);
    CHECK(vendor.asked == 2);
}

static void takes_an_answer_without_a_length(void **state)
{
    (void)state;
    vendor_route(&vendor, "/a", BYTES_LIT("hello"))->manner = VENDOR_STREAMS;
    CHECK_OK(get("/a"));
    CHECK_BYTES(buf_view(&said.body), BYTES_LIT("hello"));
}

static void bounds_the_body(void **state)
{
    (void)state;
    BUF_AUTO body = BUF(BODY_MAX + 1);
    CHECK_OK(buf_add_zeros(&body, BODY_MAX));
    struct vendor_route *r = vendor_route(&vendor, "/a", buf_view(&body));
    CHECK_OK(get("/a"));
    r->manner = VENDOR_STREAMS;
    CHECK_OK(get("/a"));
    CHECK_OK(buf_add_u8(&r->body, 0));
    CHECK_ERR(get("/a"), LIMIT);
    r->manner = VENDOR_ANSWERS;
    CHECK_ERR(get("/a"), LIMIT);
}

static void bounds_the_field_and_the_head(void **state)
{
    (void)state;
    char value[FIELD_MAX + 2];
    memset(value, 'a', sizeof value);
    struct vendor_route *r = vendor_route(&vendor, "/a", BYTES_LIT("x"));
    vendor_add_field(r, "X-Wanted", bytes_of(value, FIELD_MAX));
    CHECK_OK(get("/a"));
    r->fields[0] = '\0';
    vendor_add_field(r, "X-Wanted", bytes_of(value, FIELD_MAX + 1));
    CHECK_ERR(get("/a"), LIMIT);
    r->fields[0] = '\0';
    vendor_add_field(r, "X-Wanted", BYTES_LIT("one"));
    vendor_add_field(r, "X-Wanted", BYTES_LIT("two"));
    CHECK_ERR(get("/a"), MALFORMED);
}

static void follows_no_redirect(void **state)
{
    (void)state;
    struct vendor_route *r = vendor_route(&vendor, "/a", BYTES_LIT("moved"));
    vendor_route(&vendor, "/b", BYTES_LIT("there"));
    r->status = 302;
    (void)snprintf(r->fields, sizeof r->fields, "Location: %s/b\r\n", vendor.base);
    CHECK_OK(get("/a"));
    CHECK(said.status == 302 && vendor.asked == 1);
}

static int64_t retry_after(struct vendor_route *r, const char *value)
{
    (void)snprintf(r->fields, sizeof r->fields, "Retry-After: %s\r\n", value);
    CHECK_OK(get("/a"));
    CHECK(said.status == 429);
    return said.retry_after_s;
}

static void reads_when_to_come_back(void **state)
{
    (void)state;
    struct vendor_route *r = vendor_route(&vendor, "/a", BYTES_LIT("later"));
    r->status = 429;
    CHECK(retry_after(r, "7") == 7);
    CHECK(retry_after(r, "999999999999") == 86400);
    CHECK(retry_after(r, "soon") == -1);
    CHECK(retry_after(r, "-1") == -1);
    CHECK(retry_after(r, "Sun, 06 Nov 1994 08:49:37 GMT") == 0);
    CHECK(retry_after(r, "Sat, 06 Nov 2094 08:49:37 GMT") == 86400);
}

static void tells_a_cut_answer_from_a_whole_one(void **state)
{
    (void)state;
    vendor_route(&vendor, "/a", BYTES_LIT("hello"))->manner = VENDOR_CUTS;
    CHECK_ERR(get("/a"), CLOSED);
}

static void gives_up_on_the_silent(void **state)
{
    (void)state;
    vendor_route(&vendor, "/a", BYTES_LIT("hello"))->manner = VENDOR_SILENT;
    CHECK_ERR(get("/a"), TIMEOUT);
    vendor_route(&vendor, "/a", BYTES_LIT("hello"))->manner = VENDOR_HANGS;
    CHECK_ERR(get("/a"), TIMEOUT);
}

static void trusts_only_the_given_roots(void **state)
{
    (void)state;
    vendor_route(&vendor, "/a", BYTES_LIT("hello"));
    CHECK_ERR(get("/a"), UNTRUSTED);
    CHECK(vendor.asked == 0);
}

static void knows_when_nobody_is_there(void **state)
{
    (void)state;
    static struct vendor gone;
    vendor_open(&gone, loop, NULL);
    vendor_close(&gone);
    (void)start(gone.base, "/a");
    wait_for_it();
    CHECK_ERR(said.e, UNAVAILABLE);
}

static void speaks_in_the_clear_only_when_told_to(void **state)
{
    (void)state;
    static struct vendor clear;
    struct fetch *f;
    vendor_open(&clear, loop, NULL);
    vendor_route(&clear, "/a", BYTES_LIT("hello"));
    (void)start(clear.base, "/a");
    wait_for_it();
    CHECK_OK(said.e);
    vendor_close(&clear);
    static const char *const wrong[] = { "ftp://127.0.0.1/", "file:///etc/passwd", "127.0.0.1",
                                         "" };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        CHECK_ERR(
            fetch_start(&f, fetcher, &(struct fetch_request){ .url = wrong[i] }, on_done, &said),
            CONFIG);
}

static void forgets_what_is_cancelled(void **state)
{
    (void)state;
    vendor_route(&vendor, "/a", BYTES_LIT("hello"));
    fetch_cancel(start(vendor.base, "/a"));
    struct fetch *f = start(vendor.base, "/a");
    while (vendor.asked == 0) {
        turn();
        CHECK(!said.done || vendor.asked > 0);
    }
    if (!said.done)
        fetch_cancel(f);
    bool done = said.done;
    for (int i = 0; i < 20; i++)
        turn();
    CHECK(said.done == done);
    CHECK_OK(get("/a"));
}

static void is_freed_in_the_middle(void **state)
{
    (void)state;
    vendor_route(&vendor, "/a", BYTES_LIT("hello"))->manner = VENDOR_SILENT;
    (void)start(vendor.base, "/a");
    while (vendor.asked == 0)
        turn();
}

static err post(bytes content)
{
    struct fetch *f;
    char url[256];
    (void)snprintf(url, sizeof url, "%s/post", vendor.base);
    forget();
    err e = fetch_start(&f, fetcher,
                        &(struct fetch_request){ .url = url,
                                                 .body_max = BODY_MAX,
                                                 .media = "application/ocsp-request",
                                                 .content = content },
                        on_done, &said);
    if (!err_is_ok(e))
        return e;
    wait_for_it();
    return said.e;
}

static void posts_content_of_any_bytes(void **state)
{
    (void)state;
    static const uint8_t some[] = { 0, 1, '\r', '\n', 0xff, 0 };
    static uint8_t large[FETCH_SENT_MAX + 1];
    vendor_route_post(&vendor, "/post", BYTES_ARRAY(some), BYTES_LIT("taken"));
    CHECK_OK(post(BYTES_ARRAY(some)));
    CHECK(said.status == 200);
    CHECK_BYTES(buf_view(&said.body), BYTES_LIT("taken"));
    CHECK_OK(post(bytes_of(some, 3)));
    CHECK(said.status == 404);
    CHECK_OK(get("/post"));
    CHECK(said.status == 404);
    CHECK_OK(post(bytes_of(large, FETCH_SENT_MAX)));
    CHECK(said.status == 404);
    CHECK_ERR(post(BYTES_ARRAY(large)), LIMIT);
}

static void bounds_how_many_run_at_once(void **state)
{
    (void)state;
    struct fetch *f;
    char url[128];
    vendor_route(&vendor, "/a", BYTES_LIT("hello"))->manner = VENDOR_SILENT;
    (void)snprintf(url, sizeof url, "%s/a", vendor.base);
    const struct fetch_request request = { .url = url, .body_max = 1 };
    for (int i = 0; i < FETCH_AT_ONCE_MAX; i++)
        CHECK_OK(fetch_start(&f, fetcher, &request, on_done, &said));
    CHECK_ERR(fetch_start(&f, fetcher, &request, on_done, &said), LIMIT);
    fetch_cancel(f);
    CHECK_OK(fetch_start(&f, fetcher, &request, on_done, &said));
}

static void knows_a_base_url(void **state)
{
    (void)state;
    static const char *const good[] = { "https://a", "http://127.0.0.1:8081", "https://a:1/b/c/" };
    static const char *const bad[] = {
        "", "a", "ftp://a", "https://", "https://a?b", "https://a#b", "https://u@a", "https://u:p@a"
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        CHECK(fetch_is_base(good[i]));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        CHECK(!fetch_is_base(bad[i]));
}

static void refuses_settings_it_cannot_use(void **state)
{
    struct fetcher *f;
    (void)state;
    CHECK_ERR(fetcher_new(&f, loop, &(struct fetcher_settings){ .ca_path = "/does/not/exist" }),
              CONFIG);
}

#define WITH(test, with) cmocka_unit_test_setup_teardown(test, with, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(gives_status_body_and_the_wanted_field, open_all),
        WITH(takes_an_answer_without_a_length, open_all),
        WITH(bounds_the_body, open_all),
        WITH(bounds_the_field_and_the_head, open_all),
        WITH(follows_no_redirect, open_all),
        WITH(reads_when_to_come_back, open_all),
        WITH(tells_a_cut_answer_from_a_whole_one, open_all),
        WITH(gives_up_on_the_silent, open_impatient),
        WITH(trusts_only_the_given_roots, open_distrustful),
        WITH(knows_when_nobody_is_there, open_all),
        WITH(speaks_in_the_clear_only_when_told_to, open_all),
        WITH(forgets_what_is_cancelled, open_all),
        WITH(is_freed_in_the_middle, open_all),
        WITH(posts_content_of_any_bytes, open_all),
        WITH(bounds_how_many_run_at_once, open_all),
        WITH(knows_a_base_url, open_all),
        WITH(refuses_settings_it_cannot_use, open_all),
    };
    if (!err_is_ok(crypto_init()) || mkdtemp(folder) == NULL)
        return 1;
    vendor_make_files(folder);
    (void)snprintf(ca, sizeof ca, "%s/ca.pem", folder);
    (void)snprintf(other_ca, sizeof other_ca, "%s/other.pem", folder);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    vendor_remove(folder);
    return failed;
}
