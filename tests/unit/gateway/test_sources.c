#include <stdio.h>
#include <string.h>

#include "base/attr.h"
#include "gateway/sources.h"
#include "tests/lib/law.h"

static struct source_wishes wishes; /* too large for a stack */
static struct dns_answer answer;

static void reads_every_form(void **state)
{
    (void)state;
    struct source s;
    CHECK_OK(source_read("tls://w:1", &s));
    CHECK(s.kind == SOURCE_ADDRESS && s.wish.addr.tls && s.wish.addr.port == 1);
    CHECK(source_may_use_tls(&s));
    CHECK_OK(source_read("unix:/w", &s));
    CHECK(s.kind == SOURCE_ADDRESS && !source_may_use_tls(&s));
    CHECK_OK(source_read("dns://w.test:8443", &s));
    CHECK(s.kind == SOURCE_NAME && strcmp(s.name, "w.test") == 0 && s.wish.addr.port == 8443);
    CHECK(!source_may_use_tls(&s));
    CHECK_OK(source_read("dns+tls://w.test:8443", &s));
    CHECK(s.kind == SOURCE_NAME && s.wish.addr.tls && source_may_use_tls(&s));
    CHECK_OK(source_read("srv://_sealgate._tcp.w.test", &s));
    CHECK(s.kind == SOURCE_SERVICE && strcmp(s.name, "_sealgate._tcp.w.test") == 0);
    CHECK_OK(source_read("srv+tls://_s._tcp.w", &s));
    CHECK(s.kind == SOURCE_SERVICE && source_may_use_tls(&s));
    CHECK_OK(source_read("file:///etc/workers", &s));
    CHECK(s.kind == SOURCE_FILE && strcmp(s.path, "/etc/workers") == 0 && source_may_use_tls(&s));
}

static void refuses_all_others(void **state)
{
    (void)state;
    static const char *const bad[] = { "",
                                       "w",
                                       "dns://w",
                                       "dns://w:0",
                                       "dns://[::1]:1",
                                       "dns://*:1",
                                       "dns://:1",
                                       "dns://unix:/a",
                                       "dns://tls://w:1",
                                       "tls://dns://w:1",
                                       "srv://",
                                       "srv://*",
                                       "srv://w:1",
                                       "file://",
                                       "file:///",
                                       "file://w/x",
                                       "file:///a\n",
                                       "http://w:1",
                                       "dns+tls://vsock:1:2" };
    struct source s;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (strcmp(bad[i], "file:///a\n") == 0) /* a path may hold anything */
            CHECK_OK(source_read(bad[i], &s));
        else
            CHECK_ERR(source_read(bad[i], &s), CONFIG);
    }
}

static void a_service_has_a_name_of_any_length_that_names_may_have(void **state)
{
    (void)state;
    char text[DNS_NAME_MAX + 10];
    struct source s;
    (void)snprintf(text, sizeof text, "srv://%0*d", DNS_NAME_MAX, 1);
    CHECK_OK(source_read(text, &s));
    (void)snprintf(text, sizeof text, "srv://%0*d", DNS_NAME_MAX + 1, 1);
    CHECK_ERR(source_read(text, &s), CONFIG);
}

static bool is_host(size_t i, const char *host)
{
    return i < wishes.n && strcmp(wishes.at[i].addr.host, host) == 0;
}

static void reads_a_file_with_comments(void **state)
{
    (void)state;
    size_t line;
    CHECK_OK(source_read_file(BYTES_LIT("# workers\n\n a:1 \r\ntls://b:2\t# the second\n  \n"
                                        "unix:/c#d\n[::1]:3"),
                              &wishes, &line));
    CHECK(wishes.n == 4 && is_host(0, "a") && is_host(1, "b") && is_host(3, "::1"));
    CHECK(wishes.at[1].addr.tls && strcmp(wishes.at[2].addr.path, "/c#d") == 0);
    CHECK_OK(source_read_file(BYTES_LIT(""), &wishes, &line));
    CHECK(wishes.n == 0);
    CHECK_OK(source_read_file(BYTES_LIT("# none"), &wishes, &line));
    CHECK(wishes.n == 0);
}

static void names_the_line_that_is_wrong(void **state)
{
    (void)state;
    size_t line;
    CHECK_ERR(source_read_file(BYTES_LIT("a:1\n#\nb\nc:1\n"), &wishes, &line), CONFIG);
    CHECK(line == 3);
    CHECK_ERR(source_read_file(BYTES_LIT("dns://a:1"), &wishes, &line), CONFIG);
    CHECK(line == 1);
    CHECK_ERR(source_read_file(BYTES_LIT("a:1 b:1\n"), &wishes, &line), CONFIG);
}

static void takes_as_many_lines_as_there_is_room_for(void **state)
{
    (void)state;
    size_t line;
    BUF_AUTO file = BUF(SOURCE_FILE_MAX);
    for (unsigned i = 0; i < SOURCE_WISHES_MAX; i++)
        CHECK_OK(buf_addf(&file, "h:%u\n", i + 1));
    CHECK_OK(source_read_file(buf_view(&file), &wishes, &line));
    CHECK(wishes.n == SOURCE_WISHES_MAX);
    CHECK_OK(buf_add_str(&file, "# a comment is no address\nh:1\n"));
    CHECK_ERR(source_read_file(buf_view(&file), &wishes, &line), CONFIG);
    CHECK(line == SOURCE_WISHES_MAX + 2);
}

static void a_worker_is_at_each_address_of_a_name(void **state)
{
    (void)state;
    struct source s;
    answer = (struct dns_answer){ .n = 2,
                                  .at = { { .address = "10.0.0.1" }, { .address = "fd00::1" } } };
    CHECK_OK(source_read("dns+tls://w.test:8443", &s));
    source_read_answer(&s, &answer, &wishes);
    CHECK(wishes.n == 2 && is_host(0, "10.0.0.1") && is_host(1, "fd00::1"));
    CHECK(wishes.at[1].addr.port == 8443 && wishes.at[1].addr.tls);
    CHECK(strcmp(wishes.at[1].tls_name, "w.test") == 0);
    CHECK(wishes.at[0].weight == 1 && wishes.at[1].weight == 1);
}

static void a_worker_is_at_each_address_of_each_service(void **state)
{
    (void)state;
    struct source s;
    answer = (struct dns_answer){
        .n = 2, .at = { { "10.0.0.1", "a.test", 1, 7, 5 }, { "10.0.0.2", "b.test", 0, 8, 0 } }
    };
    CHECK_OK(source_read("srv://_s._tcp.test", &s));
    source_read_answer(&s, &answer, &wishes);
    CHECK(wishes.n == 1 && is_host(0, "10.0.0.1") && wishes.at[0].addr.port == 1);
    CHECK(wishes.at[0].priority == 7 && wishes.at[0].weight == 5 && !wishes.at[0].addr.tls);
    CHECK(strcmp(wishes.at[0].tls_name, "a.test") == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_form),
        cmocka_unit_test(refuses_all_others),
        cmocka_unit_test(a_service_has_a_name_of_any_length_that_names_may_have),
        cmocka_unit_test(reads_a_file_with_comments),
        cmocka_unit_test(names_the_line_that_is_wrong),
        cmocka_unit_test(takes_as_many_lines_as_there_is_room_for),
        cmocka_unit_test(a_worker_is_at_each_address_of_a_name),
        cmocka_unit_test(a_worker_is_at_each_address_of_each_service),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
