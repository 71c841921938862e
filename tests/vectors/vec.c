#include "tests/vectors/vec.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum { FILE_MAX = 64 * 1024 * 1024, HELD_MAX = 256, NAME_MAX_LEN = 400, DIGITS_JSON_MAX = 18 };

struct vec {
    unsigned passed;
    unsigned failed;
    unsigned skipped;
    bool bad; /* the present case */
    const char *folder;
    const char *file;
    char name[NAME_MAX_LEN];
    struct buf held[HELD_MAX];
    size_t held_n;
};

void vec_begin(struct vec *v, const char *format, ...)
{
    va_list args;
    int used = snprintf(v->name, sizeof v->name, "%s: ", v->file);
    va_start(args, format);
    (void)vsnprintf(v->name + used, sizeof v->name - (size_t)used, format, args);
    va_end(args);
    v->bad = false;
}

void vec_fail(struct vec *v, const char *format, ...)
{
    if (v->bad)
        return;
    va_list args;
    (void)printf("FAIL %s: ", v->name);
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    (void)printf("\n");
    v->bad = true;
}

static void let_go(struct vec *v)
{
    while (v->held_n > 0)
        buf_clear(&v->held[--v->held_n]);
}

void vec_end(struct vec *v)
{
    if (v->bad)
        v->failed++;
    else
        v->passed++;
    let_go(v);
}

void vec_skip(struct vec *v, const char *why)
{
    (void)printf("SKIP %s: %s\n", v->name, why);
    v->skipped++;
    let_go(v);
}

void vec_choice(const struct vec *v, bool accepted, const char *why)
{
    (void)printf("CHOICE %s: %s\n", v->name, accepted ? "accept" : why);
}

void vec_ok(struct vec *v, err e, const char *what)
{
    if (e.code != ERR_OK)
        vec_fail(v, "%s: %s", what, err_word(e));
}

void vec_refused(struct vec *v, err e, const char *what)
{
    if (e.code != ERR_CRYPTO)
        vec_fail(v, "%s: %s instead of a refusal", what, err_word(e));
}

void vec_same(struct vec *v, bytes got, bytes want, const char *what)
{
    if (!bytes_equal(got, want))
        vec_fail(v, "%s differs", what);
}

bool vec_has(const json_t *obj, const char *key)
{
    return json_object_get(obj, key) != NULL;
}

const char *vec_text(const json_t *obj, const char *key)
{
    const char *text = json_string_value(json_object_get(obj, key));
    return text ? text : "";
}

bytes vec_hex(struct vec *v, const json_t *obj, const char *key)
{
    const json_t *value = json_object_get(obj, key);
    if (!json_is_string(value) || v->held_n == HELD_MAX) {
        vec_fail(v, "no hex at %s", key);
        return (bytes){ 0 };
    }
    struct buf *b = &v->held[v->held_n++];
    *b = BUF(FILE_MAX);
    const char *hex = json_string_value(value);
    if (!err_is_ok(text_hex_decode(b, bytes_of(hex, json_string_length(value)))))
        vec_fail(v, "no hex at %s", key);
    return buf_view(b);
}

uint64_t vec_u64(struct vec *v, const json_t *obj, const char *key)
{
    const json_t *value = json_object_get(obj, key);
    uint64_t n = 0;
    if (json_is_integer(value) && json_integer_value(value) >= 0)
        return (uint64_t)json_integer_value(value);
    if (!json_is_string(value) || !text_u64(bytes_str(json_string_value(value)), &n))
        vec_fail(v, "no number at %s", key);
    return n;
}

static err file_read(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "rb");
    ENSURE(f != NULL, SYSTEM);
    uint8_t part[4096];
    err e = OK;
    for (size_t n; err_is_ok(e) && (n = fread(part, 1, sizeof part, f)) > 0;)
        e = buf_add(out, bytes_of(part, n));
    (void)fclose(f);
    return e;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

bytes vec_file(struct vec *v, const char *path)
{
    BUF_AUTO full = BUF(4096);
    if (v->held_n == HELD_MAX || !err_is_ok(buf_addf(&full, "%s/%s", v->folder, path))) {
        vec_fail(v, "no room for %s", path);
        return (bytes){ 0 };
    }
    struct buf *b = &v->held[v->held_n++];
    *b = BUF(FILE_MAX);
    if (!err_is_ok(file_read(buf_str(&full), b)))
        vec_fail(v, "cannot read %s", path);
    return buf_view(b);
}

/* Length of the JSON token that starts at `at`, as far as this has to know tokens: a string, a run of
 * digits, or one byte. */
static size_t token_len(bytes at)
{
    size_t n = 1;
    if (at.at[0] == '"') {
        while (n < at.len && at.at[n] != '"')
            n += at.at[n] == '\\' ? 2 : 1;
        return n < at.len ? n + 1 : at.len;
    }
    while (is_digit(at.at[0]) && n < at.len && is_digit(at.at[n]))
        n++;
    return n;
}

/* jansson knows no integers above 2^63 - 1: longer ones are quoted before it sees them. */
static err quote_long_numbers(bytes in, struct buf *out)
{
    while (in.len > 0) {
        bytes token;
        (void)bytes_take(&in, token_len(in), &token);
        bool quote = is_digit(token.at[0]) && token.len > DIGITS_JSON_MAX;
        if (quote)
            TRY(buf_add_u8(out, '"'));
        TRY(buf_add(out, token));
        if (quote)
            TRY(buf_add_u8(out, '"'));
    }
    return OK;
}

static json_t *file_parse(const char *path)
{
    BUF_AUTO raw = BUF(FILE_MAX);
    BUF_AUTO text = BUF(FILE_MAX);
    if (!err_is_ok(file_read(path, &raw)) ||
        !err_is_ok(quote_long_numbers(buf_view(&raw), &text)) || text.len == 0)
        return NULL;
    return json_loadb((const char *)text.at, text.len, JSON_REJECT_DUPLICATES, NULL);
}

static void file_run(struct vec *v, const char *folder, const char *name, vec_file_fn *run)
{
    BUF_AUTO path = BUF(4096);
    v->file = name;
    json_t *root =
        err_is_ok(buf_addf(&path, "%s/%s", folder, name)) ? file_parse(buf_str(&path)) : NULL;
    if (root == NULL || !run(v, root)) {
        vec_begin(v, "the file");
        vec_fail(v, root ? "its format is unknown" : "it cannot be read as JSON");
        vec_end(v);
    }
    json_decref(root);
}

static int is_json(const struct dirent *e)
{
    return bytes_ends(bytes_str(e->d_name), BYTES_LIT(".json"));
}

int vec_main(int argc, char **argv, vec_file_fn *run)
{
    static struct vec v;
    struct dirent **files = NULL;
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 1;
    }
    v.folder = argv[1];
    int n = scandir(argv[1], &files, is_json, alphasort);
    if (n < 0) {
        (void)printf("SKIPPED: there are no vectors at %s\n", argv[1]);
        return 77;
    }
    for (int i = 0; i < n; i++) {
        file_run(&v, argv[1], files[i]->d_name, run);
        free(files[i]);
    }
    free((void *)files);
    (void)printf("%u passed, %u failed, %u skipped\n", v.passed, v.failed, v.skipped);
    return v.failed > 0 || v.passed + v.skipped == 0;
}
