#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"
#include "base/config_value.h"
#include "base/text.h"
#include "tests/lib/law.h"

enum pace { PACE_SLOW = 0, PACE_EVEN, PACE_FAST };

struct settings {
    const char *listen;
    bool cors;
    bool guard;
    uint64_t streams;
    uint64_t idle;
    uint64_t ping;
    size_t max_body;
    const char *tls_cert;
    enum pace pace;
    struct config_list workers;
    struct config_list origins;
};

static const char *const PACES[] = { "slow", "even", "fast", NULL };

static const struct config_row ROWS[] = {
    { .group = "Listening",
      .name = "listen",
      .type = CONFIG_TEXT,
      .fallback = "127.0.0.1:8080",
      .offset = offsetof(struct settings, listen),
      .value = "HOST:PORT",
      .help = "Where clients connect." },
    { .name = "cors",
      .type = CONFIG_BOOL,
      .offset = offsetof(struct settings, cors),
      .help =
          "Answer browsers of other origins. This help is long enough that it has to be wrapped "
          "over more than one line of eighty columns." },
    { .name = "guard",
      .type = CONFIG_BOOL,
      .fallback = "true",
      .offset = offsetof(struct settings, guard),
      .help = "Check the Host header." },
    { .group = "Limits",
      .name = "streams",
      .type = CONFIG_U64,
      .fallback = "100",
      .min = 1,
      .max = 1000,
      .offset = offsetof(struct settings, streams),
      .help = "Streams at a time." },
    { .name = "idle",
      .type = CONFIG_SECONDS,
      .fallback = "5m",
      .min = 1,
      .max = 86400,
      .offset = offsetof(struct settings, idle),
      .help = "How long a connection may be idle." },
    { .name = "ping",
      .type = CONFIG_MILLIS,
      .fallback = "250ms",
      .offset = offsetof(struct settings, ping),
      .help = "Between pings." },
    { .name = "max_body",
      .type = CONFIG_SIZE,
      .fallback = "64MiB",
      .min = 1024,
      .max = 1U << 30,
      .offset = offsetof(struct settings, max_body),
      .help = "The biggest body taken." },
    { .group = "Files",
      .name = "tls_cert",
      .type = CONFIG_PATH,
      .offset = offsetof(struct settings, tls_cert),
      .help = "The certificate." },
    { .name = "pace",
      .type = CONFIG_WORD,
      .fallback = "even",
      .offset = offsetof(struct settings, pace),
      .help = "How fast.",
      .words = PACES },
    { .name = "workers",
      .type = CONFIG_LIST,
      .fallback = "tls://a:1,unix:/b",
      .max = 3,
      .min = 1,
      .offset = offsetof(struct settings, workers),
      .value = "ADDRESS,...",
      .help = "Where the workers are." },
    { .name = "origins",
      .type = CONFIG_LIST,
      .offset = offsetof(struct settings, origins),
      .help = "Allowed origins." },
};

static const struct config_program PROGRAM = {
    .name = "demo",
    .summary = "Shows what settings can be.",
    .arguments = "[FILE...]",
    .env_prefix = "DEMO_",
    .rows = ROWS,
    .rows_n = ARRAY_LEN(ROWS),
};

enum { ARGS_MAX = 12 };

struct loaded {
    struct config c;
    struct settings s;
    struct buf message;
};

static void unload(struct loaded *l)
{
    config_clear(&l->c);
    buf_clear(&l->message);
}

#define LOADED_AUTO CLEANUP(unload) struct loaded
#define LOADED ((struct loaded){ .message = BUF(CONFIG_MESSAGE_MAX) })

static int count(const char *const args[])
{
    int n = 0;
    while (args[n] != NULL)
        n++;
    return n;
}

/* `args` starts behind the program's name; both end with NULL. */
static err load(struct loaded *l, const char *const args[], const char *const env[])
{
    char *argv[ARGS_MAX + 1] = { (char *)(uintptr_t) "demo" };
    char *envp[ARGS_MAX + 1] = { 0 };
    for (int i = 0; i < count(args); i++)
        argv[i + 1] = (char *)(uintptr_t)args[i];
    for (int i = 0; env != NULL && i < count(env); i++)
        envp[i] = (char *)(uintptr_t)env[i];
    return config_load(&l->c, &PROGRAM, &l->s, count(args) + 1, argv, envp, &l->message);
}

static err read_yaml(struct loaded *l, const char *yaml)
{
    return config_read(&l->c, &PROGRAM, &l->s, bytes_str(yaml), "demo.yaml", &l->message);
}

#define ARGS(...) ((const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL })

static void check_args_refused(const char *const args[], const char *message)
{
    LOADED_AUTO l = LOADED;
    CHECK_ERR(load(&l, args, NULL), CONFIG);
    assert_string_equal(buf_str(&l.message), message);
    CHECK(l.c.chunks == NULL);
}

static void check_yaml_refused(const char *yaml, const char *message)
{
    LOADED_AUTO l = LOADED;
    CHECK_ERR(read_yaml(&l, yaml), CONFIG);
    assert_string_equal(buf_str(&l.message), message);
    CHECK(l.c.chunks == NULL);
}

static void check_defaults(const struct settings *s)
{
    assert_string_equal(s->listen, "127.0.0.1:8080");
    CHECK(!s->cors && s->guard && s->streams == 100 && s->idle == 300 && s->ping == 250);
    CHECK(s->max_body == 64U << 20 && s->tls_cert == NULL && s->pace == PACE_EVEN);
    CHECK(s->workers.n == 2 && s->origins.n == 0);
    assert_string_equal(s->workers.at[1], "unix:/b");
}

static void starts_with_the_defaults(void **state)
{
    (void)state;
    LOADED_AUTO l = LOADED;
    memset(&l.s, 0xa5, sizeof l.s);
    CHECK_OK(load(&l, ARGS(), NULL));
    check_defaults(&l.s);
    CHECK(l.c.ask == CONFIG_RUN && l.c.arguments_n == 0 && l.c.file == NULL);
    CHECK(!config_given(&l.c, &PROGRAM, "listen"));
}

static void takes_flags_in_every_form(void **state)
{
    (void)state;
    LOADED_AUTO l = LOADED;
    CHECK_OK(load(&l,
                  ARGS("--listen", "[::1]:9", "--cors", "--no-guard", "--max-body=512KiB",
                       "--tls_cert=/c=d", "--workers", "a,b", "--workers=c", "one", "--", "--two"),
                  NULL));
    assert_string_equal(l.s.listen, "[::1]:9");
    CHECK(l.s.cors && !l.s.guard && l.s.max_body == 512 * 1024);
    assert_string_equal(l.s.tls_cert, "/c=d");
    CHECK(l.s.workers.n == 3);
    assert_string_equal(l.s.workers.at[2], "c");
    CHECK(l.c.arguments_n == 2);
    assert_string_equal(l.c.arguments[0], "one");
    assert_string_equal(l.c.arguments[1], "--two");
    CHECK(config_given(&l.c, &PROGRAM, "listen") && !config_given(&l.c, &PROGRAM, "idle"));
}

static void takes_truth_with_its_value(void **state)
{
    (void)state;
    LOADED_AUTO l = LOADED;
    CHECK_OK(load(&l, ARGS("--cors=true", "--guard=false", "-"), NULL));
    CHECK(l.s.cors && !l.s.guard);
    assert_string_equal(l.c.arguments[0], "-");
}

static void knows_what_is_asked_for(void **state)
{
    (void)state;
    static const struct {
        const char *flag;
        enum config_ask ask;
    } cases[] = { { "--help", CONFIG_HELP },
                  { "-h", CONFIG_HELP },
                  { "--version", CONFIG_VERSION },
                  { "--print-config", CONFIG_PRINT } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        LOADED_AUTO l = LOADED;
        CHECK_OK(load(&l, ARGS("--cors", cases[i].flag), NULL));
        CHECK(l.c.ask == cases[i].ask);
    }
    LOADED_AUTO l = LOADED;
    CHECK_OK(load(&l, ARGS("--help", "--idle=never", "--config=/none", "--version"), NULL));
    CHECK(l.c.ask == CONFIG_HELP);
}

static void a_setting_called_version_takes_the_flags_place(void **state)
{
    (void)state;
    static const struct config_row rows[] = {
        { .name = "version", .type = CONFIG_U64, .help = "Which one." },
    };
    static const struct config_program program = {
        .name = "sign", .summary = "x", .env_prefix = "SIGN_", .rows = rows, .rows_n = 1
    };
    uint64_t version = 0;
    struct config c = { 0 };
    char *const argv[] = { (char *)(uintptr_t) "sign", (char *)(uintptr_t) "--version",
                           (char *)(uintptr_t) "7", NULL };
    BUF_AUTO text = BUF(CONFIG_MESSAGE_MAX);
    CHECK_OK(config_load(&c, &program, &version, 3, argv, NULL, &text));
    CHECK(c.ask == CONFIG_RUN && version == 7);
    config_clear(&c);
    CHECK_OK(config_help(&program, &text));
    CHECK(text_find(buf_view(&text), BYTES_LIT("--version NUMBER")) < text.len);
    CHECK(text_find(buf_view(&text), BYTES_LIT("Show the version")) == text.len);
}

static void takes_the_environment(void **state)
{
    (void)state;
    LOADED_AUTO l = LOADED;
    CHECK_OK(load(&l, ARGS(),
                  ARGS("DEMO_MAX_BODY=1MiB", "DEMO_CORS=true", "DEMO_WORKERS=x, y",
                       "DEMO_LISTEN=", "DEMO_PORT=tcp://10.0.0.1", "X=1")));
    CHECK(l.s.max_body == 1U << 20 && l.s.cors && l.s.workers.n == 2);
    assert_string_equal(l.s.workers.at[1], "y");
    assert_string_equal(l.s.listen, "127.0.0.1:8080");
    CHECK(config_given(&l.c, &PROGRAM, "cors") && !config_given(&l.c, &PROGRAM, "listen"));
}

static void prefers_flag_to_environment_to_file_to_default(void **state)
{
    (void)state;
    char path[] = "/tmp/test_config_XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    static const char yaml[] = "streams: 1\nidle: 2s\nping: 3ms\nworkers: [f]\n";
    CHECK(write(fd, yaml, sizeof yaml - 1) == sizeof yaml - 1);
    CHECK(close(fd) == 0);
    char env_config[64];
    (void)snprintf(env_config, sizeof env_config, "DEMO_CONFIG=%s", path);

    LOADED_AUTO l = LOADED;
    CHECK_OK(load(&l, ARGS("--streams", "7", "--workers", "g"),
                  ARGS("DEMO_STREAMS=6", "DEMO_IDLE=6s", "DEMO_WORKERS=e", env_config)));
    CHECK(l.s.streams == 7 && l.s.idle == 6 && l.s.ping == 3 && l.s.max_body == 64U << 20);
    CHECK(l.s.workers.n == 1);
    assert_string_equal(l.s.workers.at[0], "g");
    assert_string_equal(l.c.file, path);
    CHECK(config_given(&l.c, &PROGRAM, "ping"));

    LOADED_AUTO other = LOADED;
    CHECK_OK(load(&other, ARGS("--config", path), ARGS("DEMO_CONFIG=/none")));
    CHECK(other.s.streams == 1);
    CHECK(unlink(path) == 0);
}

static void refuses_files_it_cannot_read(void **state)
{
    (void)state;
    check_args_refused(ARGS("--config", "/no/such.yaml"),
                       "/no/such.yaml: cannot be read: No such file or directory; check --config");
    check_args_refused(ARGS("--config=/"), "/: cannot be read: Is a directory; check --config");
    check_args_refused(ARGS("--config=/dev/zero"),
                       "/dev/zero: too big; write at most 262144 bytes");
    check_args_refused(ARGS("--config=a", "--config=b"),
                       "--config: given twice; remove one of them");
}

static void reads_nested_keys_and_lists(void **state)
{
    (void)state;
    LOADED_AUTO l = LOADED;
    CHECK_OK(read_yaml(&l,
                       "tls:\n  cert: /c\nmax-body: 100KiB\nworkers:\n  - a,b\n  - c\n"
                       "origins: x, y\nlisten: ''\npace: fast\n"));
    assert_string_equal(l.s.tls_cert, "/c");
    CHECK(l.s.max_body == 100 * 1024 && l.s.workers.n == 2 && l.s.origins.n == 2);
    assert_string_equal(l.s.workers.at[0], "a,b");
    assert_string_equal(l.s.origins.at[1], "y");
    CHECK(l.s.listen == NULL && l.s.pace == PACE_FAST);
}

static void says_where_and_what_to_do_in_a_file(void **state)
{
    (void)state;
    check_yaml_refused("\nmax_body: lots\n",
                       "demo.yaml:2: max_body: \"lots\" is not a size; write a number with an "
                       "optional unit, such as 64MiB");
    check_yaml_refused("lisen: x\n",
                       "demo.yaml:1: unknown key \"lisen\"; did you mean \"listen\"?");
    check_yaml_refused("quux: x\n", "demo.yaml:1: unknown key \"quux\"; see demo --help");
    check_yaml_refused("tls:\n  crt: x\n",
                       "demo.yaml:2: unknown key \"tls_crt\"; did you mean \"tls_cert\"?");
    check_yaml_refused("tls: x\n", "demo.yaml:1: unknown key \"tls\"; see demo --help");
    check_yaml_refused("tls_cert: a\ntls:\n  cert: b\n",
                       "demo.yaml:3: tls_cert: given twice, first in line 1; remove one of them");
    check_yaml_refused("cors: true\ncors: true\n",
                       "demo.yaml:2: cors: given twice, first in line 1; remove one of them");
    check_yaml_refused("cors: yes\n",
                       "demo.yaml:1: cors: \"yes\" is not a truth value; write true or false");
    check_yaml_refused("cors:\n", "demo.yaml:1: cors: has no value; write one or remove the key");
    check_yaml_refused("cors: [true]\n",
                       "demo.yaml:1: cors: has more than one value; write a single one");
    check_yaml_refused("workers: { a: b }\n",
                       "demo.yaml:1: workers: has more than one value; write a single one");
    check_yaml_refused("workers:\n  - a\n  - [b]\n",
                       "demo.yaml:3: workers: an item that is no text; write `- text`");
    check_yaml_refused("workers: [a, '', b]\n",
                       "demo.yaml:1: workers: \"\" is an empty item; "
                       "remove it or the comma too many");
    check_yaml_refused("- a\n", "demo.yaml:1: not a list of settings; write `key: value` lines");
    check_yaml_refused("a: [\n", "demo.yaml:2: not YAML: did not find expected node content");
}

static void says_which_flag_and_what_to_do(void **state)
{
    (void)state;
    check_args_refused(ARGS("--frobnicate"), "--frobnicate: unknown flag; see --help");
    check_args_refused(ARGS("--lisen=x"), "--lisen=x: unknown flag; did you mean --listen?");
    check_args_refused(ARGS("-x"), "-x: unknown flag; see --help");
    check_args_refused(ARGS("--no-listen"), "--no-listen: unknown flag; did you mean --listen?");
    check_args_refused(ARGS("--listen"), "--listen: needs a value; write --listen VALUE");
    check_args_refused(ARGS("--listen", "--cors"), "--listen: needs a value; write --listen VALUE");
    check_args_refused(ARGS("--no-cors=true"), "--no-cors: takes no value; remove it");
    check_args_refused(ARGS("--help=1"), "--help: takes no value; remove it");
    check_args_refused(ARGS("--idle=1s", "--idle", "2s"),
                       "--idle: given twice; remove one of them");
    check_args_refused(ARGS("--cors", "--no-cors"), "--cors: given twice; remove one of them");
    check_args_refused(
        ARGS("--max-body", "1.5GiB"),
        "--max-body: \"1.5GiB\" is not a size; write a number with an optional unit, "
        "such as 64MiB");
    check_args_refused(ARGS("--pace", "fasd"),
                       "--pace: \"fasd\" is none of: slow, even, fast; did "
                       "you mean \"fast\"?");
    check_args_refused(ARGS("--tls-cert", "a\nb"),
                       "--tls-cert: \"a\\nb\" is not plain text; write UTF-8 without control "
                       "characters");
    check_args_refused(ARGS("--workers", "a,"),
                       "--workers: \"\" is an empty item; remove it or the comma too many");
    check_args_refused(ARGS("--workers="), "--workers: needs at least 1 items; add some");
}

static void says_which_variable_and_what_to_do(void **state)
{
    (void)state;
    LOADED_AUTO l = LOADED;
    CHECK_ERR(load(&l, ARGS("--max-body=1MiB"), ARGS("DEMO_MAX_BODY=x")), CONFIG);
    assert_string_equal(buf_str(&l.message),
                        "DEMO_MAX_BODY: \"x\" is not a size; write a number with an optional unit, "
                        "such as 64MiB");
}

static void refuses_arguments_where_there_are_none(void **state)
{
    (void)state;
    struct config_program program = PROGRAM;
    LOADED_AUTO l = LOADED;
    char name[] = "demo";
    char extra[] = "extra";
    char *argv[] = { name, extra, NULL };
    program.arguments = NULL;
    CHECK_ERR(config_load(&l.c, &program, &l.s, 2, argv, NULL, &l.message), CONFIG);
    assert_string_equal(buf_str(&l.message), "\"extra\": not a flag; see --help");
}

static void keeps_numbers_in_their_range(void **state)
{
    (void)state;
    static const struct {
        const char *flag;
        const char *refusal; /* NULL: taken */
    } cases[] = {
        { "--streams=1", NULL },
        { "--streams=0", "--streams: \"0\" is less than the least allowed, 1" },
        { "--streams=1000", NULL },
        { "--streams=1001", "--streams: \"1001\" is more than the most allowed, 1000" },
        { "--idle=1d", NULL },
        { "--idle=86401s", "--idle: \"86401s\" is more than the most allowed, 1d" },
        { "--idle=0", "--idle: \"0\" is less than the least allowed, 1s" },
        { "--max-body=1024", NULL },
        { "--max-body=1023", "--max-body: \"1023\" is less than the least allowed, 1KiB" },
        { "--max-body=1GiB", NULL },
        { "--max-body=2GiB", "--max-body: \"2GiB\" is more than the most allowed, 1GiB" },
        { "--workers=a,b,c", NULL },
        { "--workers=a,b,c,d", "--workers: more than 3 items; remove some" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        LOADED_AUTO l = LOADED;
        err e = load(&l, ARGS(cases[i].flag), NULL);
        CHECK(err_is_ok(e) == (cases[i].refusal == NULL));
        if (cases[i].refusal != NULL)
            assert_string_equal(buf_str(&l.message), cases[i].refusal);
    }
}

static void reads_units(void **state)
{
    (void)state;
    static const struct {
        const char *flag;
        uint64_t value; /* 0: refused */
    } cases[] = {
        { "--ping=250ms", 250 },
        { "--ping=5s", 5000 },
        { "--ping=10m", 600000 },
        { "--ping=1h", 3600000 },
        { "--ping=2d", 172800000 },
        { "--ping=18446744073709551615ms", UINT64_MAX },
        { "--ping=18446744073709551615s", 0 },
        { "--ping=18446744073709551616ms", 0 },
        { "--ping=5", 0 },
        { "--ping=5 s", 0 },
        { "--ping=s", 0 },
        { "--ping=", 0 },
        { "--ping=-5s", 0 },
        { "--ping=5S", 0 },
        { "--ping=5s5ms", 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        LOADED_AUTO l = LOADED;
        err e = load(&l, ARGS(cases[i].flag), NULL);
        CHECK(err_is_ok(e) == (cases[i].value != 0));
        CHECK(!err_is_ok(e) || l.s.ping == cases[i].value);
    }
}

static void bounds_texts_and_lists(void **state)
{
    (void)state;
    char text[CONFIG_TEXT_MAX + 32] = "--tls-cert=";
    size_t head = strlen(text);
    memset(text + head, 'a', CONFIG_TEXT_MAX);
    LOADED_AUTO at = LOADED;
    CHECK_OK(load(&at, ARGS(text), NULL));
    CHECK(strlen(at.s.tls_cert) == CONFIG_TEXT_MAX);
    text[head + CONFIG_TEXT_MAX] = 'a';
    LOADED_AUTO above = LOADED;
    CHECK_ERR(load(&above, ARGS(text), NULL), CONFIG);

    char list[256] = "--origins=a";
    for (int i = 1; i < CONFIG_LIST_MAX; i++)
        memcpy(list + strlen(list), ",a", 3);
    LOADED_AUTO list_at = LOADED;
    CHECK_OK(load(&list_at, ARGS(list), NULL));
    CHECK(list_at.s.origins.n == CONFIG_LIST_MAX);
    LOADED_AUTO list_above = LOADED;
    CHECK_ERR(load(&list_above, ARGS(list, "--origins", "b"), NULL), CONFIG);
}

static void refuses_what_the_caller_finds_wrong(void **state)
{
    (void)state;
    LOADED_AUTO l = LOADED;
    CHECK_OK(read_yaml(&l, "\nlisten: nowhere\n"));
    CHECK_ERR(config_refuse(&l.c, &PROGRAM, "listen", &l.message, "\"%s\" is no address; write %s",
                            l.s.listen, "HOST:PORT"),
              CONFIG);
    assert_string_equal(buf_str(&l.message),
                        "demo.yaml:2: listen: \"nowhere\" is no address; write HOST:PORT");
    buf_truncate(&l.message, 0);
    CHECK_ERR(config_refuse(&l.c, &PROGRAM, "idle", &l.message, "no"), CONFIG);
    assert_string_equal(buf_str(&l.message), "idle: no");
    CHECK_ERR(config_refuse(&l.c, &PROGRAM, "none", &l.message, "no"), INTERNAL);
}

static void refuses_tables_with_mistakes(void **state)
{
    (void)state;
    static const struct config_row same[] = {
        { .name = "a", .type = CONFIG_BOOL, .help = "x" },
        { .name = "a", .type = CONFIG_BOOL, .help = "x" },
    };
    static const struct config_row reserved[] = {
        { .name = "config", .type = CONFIG_BOOL, .help = "x" },
    };
    static const struct config_row upper[] = { { .name = "A", .type = CONFIG_BOOL, .help = "x" } };
    static const struct config_row wordless[] = {
        { .name = "a", .type = CONFIG_WORD, .help = "x" },
    };
    static const struct {
        const struct config_row *rows;
        size_t n;
    } cases[] = { { same, 2 }, { reserved, 1 }, { upper, 1 }, { wordless, 1 } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        LOADED_AUTO l = LOADED;
        struct config_program program = PROGRAM;
        program.rows = cases[i].rows;
        program.rows_n = cases[i].n;
        CHECK_ERR(config_read(&l.c, &program, &l.s, BYTES_LIT(""), "x", &l.message), INTERNAL);
    }
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

static void prints_what_loads_again(void **state)
{
    (void)state;
    static const char *const files[] = {
        "",
        "listen: ''\ntls_cert: '# x: \"y\" \\'\n",
        "cors: true\nguard: false\nstreams: 999\nidle: 61s\nping: 0\nmax_body: 1025\n",
        "workers: ['a b', '~', '- x']\norigins: ['*', 'a,b']\npace: slow\n",
        "idle: 1h\nping: 90000ms\nmax_body: 3MiB\nlisten: gr\xc3\xbc\xc3\x9f\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        LOADED_AUTO first = LOADED;
        LOADED_AUTO again = LOADED;
        BUF_AUTO printed = BUF(65536);
        err e = read_yaml(&first, files[i]);
        if (!err_is_ok(e))
            fail_msg("%s", buf_str(&first.message));
        CHECK_OK(config_print(&PROGRAM, &first.s, &printed));
        CHECK_OK(read_yaml(&again, buf_str(&printed)));
        CHECK(same_settings(&first.s, &again.s));
    }
}

/* Every line "# name: value" without its mark. */
static void uncomment(bytes example, struct buf *out)
{
    while (example.len > 0) {
        size_t n = 0;
        while (n < example.len && example.at[n] != '\n')
            n++;
        bytes line = bytes_slice(example, 0, n);
        for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
            BUF_AUTO head = BUF(128);
            CHECK_OK(buf_addf(&head, "# %s: ", ROWS[i].name));
            if (bytes_starts(line, buf_view(&head)) && ROWS[i].fallback != NULL) {
                CHECK_OK(buf_add(out, bytes_slice(line, 2, n)));
                CHECK_OK(buf_add_str(out, "\n"));
            }
        }
        example = bytes_slice(example, n + 1, example.len);
    }
}

static void example_holds_the_defaults(void **state)
{
    (void)state;
    LOADED_AUTO commented = LOADED;
    LOADED_AUTO bare = LOADED;
    BUF_AUTO example = BUF(65536);
    BUF_AUTO lines = BUF(65536);
    CHECK_OK(config_example(&PROGRAM, &example));
    CHECK_OK(read_yaml(&commented, buf_str(&example)));
    check_defaults(&commented.s);
    CHECK(!config_given(&commented.c, &PROGRAM, "listen"));
    uncomment(buf_view(&example), &lines);
    CHECK_OK(read_yaml(&bare, buf_str(&lines)));
    check_defaults(&bare.s);
    CHECK(config_given(&bare.c, &PROGRAM, "listen"));
    CHECK(config_given(&bare.c, &PROGRAM, "workers"));
}

static void check_columns(bytes text)
{
    size_t column = 0;
    for (size_t i = 0; i < text.len; i++) {
        column = text.at[i] == '\n' ? 0 : column + 1;
        CHECK(column <= 80);
    }
}

static void help_names_every_setting_within_eighty_columns(void **state)
{
    (void)state;
    BUF_AUTO help = BUF(65536);
    CHECK_OK(config_help(&PROGRAM, &help));
    check_columns(buf_view(&help));
    const char *text = buf_str(&help);
    static const char *const parts[] = {
        "usage: demo [FLAGS] [FILE...]\n\nShows what settings can be.\n\nListening\n",
        "  --listen HOST:PORT\n      Where clients connect. Default: 127.0.0.1:8080. Environment: "
        "DEMO_LISTEN.\n",
        "  --cors, --no-cors\n",
        "\nLimits\n  --streams NUMBER\n      Streams at a time. At least 1, at most 1000. Default: "
        "100. Environment:\n      DEMO_STREAMS.\n",
        "At least 1s, at most 1d. Default: 5m.",
        "At least 1KiB, at most 1GiB. Default: 64MiB.",
        "  --tls-cert PATH\n      The certificate. Default: none. Environment: DEMO_TLS_CERT.\n",
        "One of: slow, even, fast. Default: even.",
        "  --workers ADDRESS,...\n",
        "  --print-config\n",
        "  --config FILE\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (strstr(text, parts[i]) == NULL)
            fail_msg("not in the help: %s\n%s", parts[i], text);
    }
}

static void counts_the_changes_between_words(void **state)
{
    (void)state;
    CHECK(config_distance("", "") == 0);
    CHECK(config_distance("abc", "") == 3);
    CHECK(config_distance("kitten", "sitting") == 3);
    CHECK(config_distance("listen", "lisen") == 1);
    char at[CONFIG_DISTANCE_MAX + 1] = { 0 };
    char above[CONFIG_DISTANCE_MAX + 2] = { 0 };
    memset(at, 'a', CONFIG_DISTANCE_MAX);
    memset(above, 'a', CONFIG_DISTANCE_MAX + 1);
    CHECK(config_distance(at, "") == CONFIG_DISTANCE_MAX);
    CHECK(config_distance(at, above) == SIZE_MAX && config_distance(above, at) == SIZE_MAX);
}

static err load_and_print(void *arg)
{
    (void)arg;
    LOADED_AUTO l = LOADED;
    BUF_AUTO out = BUF(65536);
    TRY(read_yaml(&l, "listen: x\nworkers: [a, b]\nidle: 5s\n"));
    TRY(config_print(&PROGRAM, &l.s, &out));
    TRY(config_help(&PROGRAM, &out));
    LOADED_AUTO flags = LOADED;
    return load(&flags, ARGS("--listen=y", "file", "--workers=1,2"), ARGS("DEMO_IDLE=7s"));
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    law_every_allocation_fails_once(load_and_print, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_with_the_defaults),
        cmocka_unit_test(takes_flags_in_every_form),
        cmocka_unit_test(takes_truth_with_its_value),
        cmocka_unit_test(knows_what_is_asked_for),
        cmocka_unit_test(a_setting_called_version_takes_the_flags_place),
        cmocka_unit_test(takes_the_environment),
        cmocka_unit_test(prefers_flag_to_environment_to_file_to_default),
        cmocka_unit_test(refuses_files_it_cannot_read),
        cmocka_unit_test(reads_nested_keys_and_lists),
        cmocka_unit_test(says_where_and_what_to_do_in_a_file),
        cmocka_unit_test(says_which_flag_and_what_to_do),
        cmocka_unit_test(says_which_variable_and_what_to_do),
        cmocka_unit_test(refuses_arguments_where_there_are_none),
        cmocka_unit_test(keeps_numbers_in_their_range),
        cmocka_unit_test(reads_units),
        cmocka_unit_test(bounds_texts_and_lists),
        cmocka_unit_test(refuses_what_the_caller_finds_wrong),
        cmocka_unit_test(refuses_tables_with_mistakes),
        cmocka_unit_test(prints_what_loads_again),
        cmocka_unit_test(example_holds_the_defaults),
        cmocka_unit_test(help_names_every_setting_within_eighty_columns),
        cmocka_unit_test(counts_the_changes_between_words),
        cmocka_unit_test(survives_every_failing_allocation),
    };
    return cmocka_run_group_tests_name("base/config", tests, NULL, NULL);
}
