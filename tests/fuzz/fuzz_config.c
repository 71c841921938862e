/* Whatever loads is printed as a file that loads again to the same settings, and prints the same. */
#include <stdlib.h>
#include <string.h>

#include "base/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct settings {
    const char *listen;
    bool cors;
    bool guard;
    uint64_t streams;
    uint64_t idle;
    uint64_t ping;
    size_t max_body;
    const char *tls_cert;
    unsigned pace;
    struct config_list workers;
    struct config_list origins;
};

static const char *const PACES[] = { "off", "even", "very fast", NULL };

#define ROW(field) .name = #field, .offset = offsetof(struct settings, field), .help = "Help."

static const struct config_row ROWS[] = {
    { ROW(listen), .type = CONFIG_TEXT, .fallback = "127.0.0.1:8080", .group = "Listening" },
    { ROW(cors), .type = CONFIG_BOOL },
    { ROW(guard), .type = CONFIG_BOOL, .fallback = "true" },
    { ROW(streams), .type = CONFIG_U64, .fallback = "100", .min = 1, .max = 1000 },
    { ROW(idle), .type = CONFIG_SECONDS, .fallback = "5m" },
    { ROW(ping), .type = CONFIG_MILLIS, .fallback = "250ms" },
    { ROW(max_body), .type = CONFIG_SIZE, .fallback = "64MiB" },
    { ROW(tls_cert), .type = CONFIG_PATH },
    { ROW(pace), .type = CONFIG_WORD, .fallback = "even", .words = PACES },
    { ROW(workers), .type = CONFIG_LIST, .fallback = "tls://a:1,unix:/b", .min = 1, .max = 8 },
    { ROW(origins), .type = CONFIG_LIST },
};

static const struct config_program PROGRAM = {
    .name = "demo",
    .summary = "A demo.",
    .env_prefix = "DEMO_",
    .rows = ROWS,
    .rows_n = ARRAY_LEN(ROWS),
};

struct loaded {
    struct config c;
    struct settings s;
};

static void must(bool holds)
{
    if (!holds)
        abort();
}

static bool read_one(struct loaded *l, bytes yaml)
{
    struct buf message = BUF(CONFIG_MESSAGE_MAX);
    err e = config_read(&l->c, &PROGRAM, &l->s, yaml, "x.yaml", &message);
    must(err_is_ok(e) || e.code == ERR_CONFIG);
    must(err_is_ok(e) == (message.len == 0));
    must(err_is_ok(e) || l->c.chunks == NULL);
    buf_clear(&message);
    return err_is_ok(e);
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_list(const struct config_list *a, const struct config_list *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (strcmp(a->at[i], b->at[i]) != 0)
            return false;
    }
    return true;
}

static bool same_settings(const struct settings *a, const struct settings *b)
{
    return same_text(a->listen, b->listen) && same_text(a->tls_cert, b->tls_cert) &&
           a->cors == b->cors && a->guard == b->guard && a->streams == b->streams &&
           a->idle == b->idle && a->ping == b->ping && a->max_body == b->max_body &&
           a->pace == b->pace && same_list(&a->workers, &b->workers) &&
           same_list(&a->origins, &b->origins);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct loaded first = { 0 };
    struct loaded again = { 0 };
    struct buf printed = BUF(2 * 1024 * 1024);
    struct buf reprinted = BUF(2 * 1024 * 1024);
    if (!read_one(&first, bytes_of(data, size)))
        return 0;
    must(err_is_ok(config_print(&PROGRAM, &first.s, &printed)));
    must(read_one(&again, buf_view(&printed)));
    must(same_settings(&first.s, &again.s));
    must(err_is_ok(config_print(&PROGRAM, &again.s, &reprinted)));
    must(bytes_equal(buf_view(&printed), buf_view(&reprinted)));
    config_clear(&first.c);
    config_clear(&again.c);
    buf_clear(&printed);
    buf_clear(&reprinted);
    return 0;
}
