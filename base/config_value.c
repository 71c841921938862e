#include "base/config_value.h"

#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "base/yaml.h"

enum { SHOWN_MAX = 80 };

struct unit {
    const char *name;
    uint64_t factor;
};

/* From small to large; a number alone is of the first. */
static const struct unit sizes[] = {
    { "", 1 }, { "KiB", 1U << 10 }, { "MiB", 1U << 20 }, { "GiB", 1U << 30 }, { NULL, 0 }
};
static const struct unit seconds[] = {
    { "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 }, { NULL, 0 }
};
static const struct unit millis[] = { { "ms", 1 },      { "s", 1000 },     { "m", 60000 },
                                      { "h", 3600000 }, { "d", 86400000 }, { NULL, 0 } };
static const struct unit numbers[] = { { "", 1 }, { NULL, 0 } };

static const struct unit *units_of(enum config_type type)
{
    switch (type) {
    case CONFIG_SIZE:
        return sizes;
    case CONFIG_SECONDS:
        return seconds;
    case CONFIG_MILLIS:
        return millis;
    case CONFIG_U64:
    case CONFIG_BOOL:
    case CONFIG_TEXT:
    case CONFIG_PATH:
    case CONFIG_WORD:
    case CONFIG_LIST:
        return numbers;
    }
    return numbers;
}

static const char *advice(enum config_type type)
{
    switch (type) {
    case CONFIG_BOOL:
        return "is not a truth value; write true or false";
    case CONFIG_U64:
        return "is not a number; write digits only, such as 100";
    case CONFIG_SECONDS:
        return "is not a duration in seconds; write a number with a unit, such as 30s, 10m or 1h";
    case CONFIG_MILLIS:
        return "is not a duration; write a number with a unit, such as 250ms, 5s or 10m";
    case CONFIG_SIZE:
        return "is not a size; write a number with an optional unit, such as 64MiB";
    case CONFIG_TEXT:
    case CONFIG_PATH:
    case CONFIG_LIST:
        return "is not plain text; write UTF-8 without control characters";
    case CONFIG_WORD:
        return "is none of the words allowed";
    }
    return "is not allowed";
}

void *config_keep(struct config *c, size_t size)
{
    struct config_chunk *chunk = mem_alloc(sizeof *chunk + size);
    if (chunk == NULL)
        return NULL;
    chunk->next = c->chunks;
    c->chunks = chunk;
    return chunk + 1;
}

char *config_keep_text(struct config *c, bytes text)
{
    char *copy = config_keep(c, text.len + 1);
    if (copy != NULL && text.len > 0)
        memcpy(copy, text.at, text.len);
    return copy;
}

static void *field_of(const struct config_row *row, void *settings)
{
    return (char *)settings + row->offset;
}

static const void *const_field_of(const struct config_row *row, const void *settings)
{
    return (const char *)settings + row->offset;
}

/* The message may be cut short by its limit; the error is the same. */
static err refuse(struct buf *why, bytes shown, const char *rest)
{
    (void)text_json_quote(why, bytes_slice(shown, 0, SHOWN_MAX));
    (void)buf_addf(why, "%s %s", shown.len > SHOWN_MAX ? "..." : "", rest);
    FAIL(CONFIG);
}

static bool number_read(enum config_type type, bytes text, uint64_t *out)
{
    size_t digits = 0;
    uint64_t n;
    while (digits < text.len && text.at[digits] >= '0' && text.at[digits] <= '9')
        digits++;
    if (!text_u64(bytes_slice(text, 0, digits), &n))
        return false;
    bytes name = bytes_slice(text, digits, text.len);
    for (const struct unit *u = units_of(type); u->name != NULL; u++) {
        if (bytes_equal(name, bytes_str(u->name)))
            return !__builtin_mul_overflow(n, u->factor, out);
    }
    *out = 0;
    return n == 0 && name.len == 0;
}

err config_number_write(enum config_type type, uint64_t v, struct buf *out)
{
    const struct unit *units = units_of(type);
    const struct unit *best = units;
    for (const struct unit *u = units; v > 0 && u->name != NULL; u++) {
        if (v % u->factor == 0)
            best = u;
    }
    return buf_addf(out, "%llu%s", (unsigned long long)(v / best->factor), v > 0 ? best->name : "");
}

static err check_range(const struct config_row *row, bytes text, uint64_t v, struct buf *why)
{
    bool low = v < row->min;
    if (!low && (row->max == 0 || v <= row->max))
        return OK;
    BUF_AUTO bound = BUF(64);
    TRY(config_number_write(row->type, low ? row->min : row->max, &bound));
    (void)text_json_quote(why, text);
    (void)buf_addf(why, " is %s %s",
                   low ? "less than the least allowed," : "more than the most allowed,",
                   buf_str(&bound) ? buf_str(&bound) : "");
    FAIL(CONFIG);
}

static err read_number(const struct config_row *row, bytes text, void *field, struct buf *why)
{
    uint64_t v;
    if (!number_read(row->type, text, &v))
        return refuse(why, text, advice(row->type));
    TRY(check_range(row, text, v, why));
    memcpy(field, &v, sizeof v);
    return OK;
}

static err read_bool(bytes text, void *field, struct buf *why)
{
    bool v = bytes_equal(text, BYTES_LIT("true"));
    if (!v && !bytes_equal(text, BYTES_LIT("false")))
        return refuse(why, text, advice(CONFIG_BOOL));
    memcpy(field, &v, sizeof v);
    return OK;
}

static err keep_text(struct config *c, bytes text, const char **out, struct buf *why)
{
    if (!yaml_is_text(text))
        return refuse(why, text, advice(CONFIG_TEXT));
    if (text.len > CONFIG_TEXT_MAX)
        return refuse(why, text, "is too long; write at most 4096 bytes");
    *out = config_keep_text(c, text);
    ENSURE(*out != NULL, NOMEM);
    return OK;
}

static err read_text(struct config *c, bytes text, void *field, struct buf *why)
{
    const char *v = NULL;
    if (text.len > 0)
        TRY(keep_text(c, text, &v, why));
    memcpy(field, &v, sizeof v);
    return OK;
}

static err refuse_word(const struct config_row *row, bytes text, struct buf *why)
{
    char word[CONFIG_DISTANCE_MAX + 1] = { 0 };
    const char *meant = NULL;
    size_t best = SIZE_MAX;
    if (text.len < sizeof word && text.len > 0)
        memcpy(word, text.at, text.len);
    (void)text_json_quote(why, bytes_slice(text, 0, SHOWN_MAX));
    (void)buf_add_str(why, " is none of: ");
    for (size_t i = 0; row->words[i] != NULL; i++) {
        (void)buf_addf(why, "%s%s", i > 0 ? ", " : "", row->words[i]);
        if (config_is_nearer(word, row->words[i], &best))
            meant = row->words[i];
    }
    if (meant != NULL)
        (void)buf_addf(why, "; did you mean \"%s\"?", meant);
    FAIL(CONFIG);
}

static err read_word(const struct config_row *row, bytes text, void *field, struct buf *why)
{
    for (unsigned i = 0; row->words[i] != NULL; i++) {
        if (!bytes_equal(text, bytes_str(row->words[i])))
            continue;
        memcpy(field, &i, sizeof i);
        return OK;
    }
    return refuse_word(row, text, why);
}

bool config_item_take(bytes *list, bytes *item)
{
    if (list->at == NULL)
        return false;
    size_t n = text_find(*list, BYTES_LIT(","));
    *item = text_trim(bytes_slice(*list, 0, n));
    *list = n < list->len ? bytes_of(list->at + n + 1, list->len - n - 1) : (bytes){ 0 };
    return true;
}

/* The array is made anew for each item: lists are short, and read once. */
static err append_item(struct config *c, const struct config_row *row, bytes item,
                       struct config_list *list, struct buf *why)
{
    size_t most = row->max > 0 ? (size_t)row->max : CONFIG_LIST_MAX;
    if (item.len == 0)
        return refuse(why, item, "is an empty item; remove it or the comma too many");
    if (list->n == most) {
        (void)buf_addf(why, "more than %zu items; remove some", most);
        FAIL(CONFIG);
    }
    const char **at = config_keep(c, (list->n + 1) * sizeof *at);
    ENSURE(at != NULL, NOMEM);
    if (list->n > 0)
        memcpy(at, list->at, list->n * sizeof *at);
    TRY(keep_text(c, item, &at[list->n], why));
    list->at = at;
    list->n++;
    return OK;
}

static err read_list(struct config *c, const struct config_row *row, bytes text, bool whole,
                     void *field, struct buf *why)
{
    struct config_list list;
    bytes item;
    if (text.len == 0 && !whole)
        return OK;
    memcpy(&list, field, sizeof list);
    if (whole)
        TRY(append_item(c, row, text, &list, why));
    while (!whole && config_item_take(&text, &item))
        TRY(append_item(c, row, item, &list, why));
    memcpy(field, &list, sizeof list);
    return OK;
}

err config_value_read(struct config *c, const struct config_row *row, bytes text, bool whole,
                      void *settings, struct buf *why)
{
    void *field = field_of(row, settings);
    switch (row->type) {
    case CONFIG_BOOL:
        return read_bool(text, field, why);
    case CONFIG_U64:
    case CONFIG_SECONDS:
    case CONFIG_MILLIS:
    case CONFIG_SIZE:
        return read_number(row, text, field, why);
    case CONFIG_TEXT:
    case CONFIG_PATH:
        return read_text(c, text, field, why);
    case CONFIG_WORD:
        return read_word(row, text, field, why);
    case CONFIG_LIST:
        return read_list(c, row, text, whole, field, why);
    }
    FAIL(INTERNAL);
}

static size_t size_of(enum config_type type)
{
    switch (type) {
    case CONFIG_BOOL:
        return sizeof(bool);
    case CONFIG_U64:
    case CONFIG_SECONDS:
    case CONFIG_MILLIS:
    case CONFIG_SIZE:
        return sizeof(uint64_t);
    case CONFIG_TEXT:
    case CONFIG_PATH:
        return sizeof(const char *);
    case CONFIG_WORD:
        return sizeof(unsigned);
    case CONFIG_LIST:
        return sizeof(struct config_list);
    }
    return 0;
}

void config_value_clear(const struct config_row *row, void *settings)
{
    memset(field_of(row, settings), 0, size_of(row->type));
}

size_t config_items(const struct config_row *row, const void *settings)
{
    struct config_list list;
    memcpy(&list, const_field_of(row, settings), sizeof list);
    return list.n;
}

bool config_value_is_empty(const struct config_row *row, const void *settings)
{
    const char *text = NULL;
    if (row->type == CONFIG_TEXT || row->type == CONFIG_PATH) {
        memcpy(&text, const_field_of(row, settings), sizeof text);
        return text == NULL;
    }
    return row->type == CONFIG_LIST && config_items(row, settings) == 0;
}

static err write_list(const struct config_list *list, struct buf *out)
{
    if (list->n == 0)
        return buf_add_str(out, " []\n");
    TRY(buf_add_u8(out, '\n'));
    for (size_t i = 0; i < list->n; i++) {
        TRY(buf_add_str(out, "  - "));
        TRY(yaml_put_text(out, bytes_str(list->at[i])));
        TRY(buf_add_u8(out, '\n'));
    }
    return OK;
}

static err write_word(const struct config_row *row, unsigned place, struct buf *out)
{
    for (unsigned i = 0; row->words[i] != NULL; i++) {
        if (i == place)
            return yaml_put_text(out, bytes_str(row->words[i]));
    }
    FAIL(INTERNAL);
}

static err write_scalar(const struct config_row *row, const void *field, struct buf *out)
{
    uint64_t number = 0;
    const char *text = NULL;
    unsigned place = 0;
    bool truth = false;
    switch (row->type) {
    case CONFIG_BOOL:
        memcpy(&truth, field, sizeof truth);
        return buf_add_str(out, truth ? "true" : "false");
    case CONFIG_TEXT:
    case CONFIG_PATH:
        memcpy(&text, field, sizeof text);
        return yaml_put_text(out, bytes_str(text));
    case CONFIG_WORD:
        memcpy(&place, field, sizeof place);
        return write_word(row, place, out);
    case CONFIG_U64:
    case CONFIG_SECONDS:
    case CONFIG_MILLIS:
    case CONFIG_SIZE:
        memcpy(&number, field, sizeof number);
        return config_number_write(row->type, number, out);
    case CONFIG_LIST:
        break;
    }
    FAIL(INTERNAL);
}

err config_value_write(const struct config_row *row, const void *settings, struct buf *out)
{
    const void *field = const_field_of(row, settings);
    struct config_list list;
    if (row->type == CONFIG_LIST) {
        memcpy(&list, field, sizeof list);
        return write_list(&list, out);
    }
    TRY(buf_add_u8(out, ' '));
    TRY(write_scalar(row, field, out));
    return buf_add_u8(out, '\n');
}

err config_env_name(const struct config_program *program, const char *name, struct buf *out)
{
    TRY(buf_add_str(out, program->env_prefix));
    for (; *name != 0; name++)
        TRY(buf_add_u8(out, (uint8_t)(*name >= 'a' && *name <= 'z' ? *name - 32 : *name)));
    return OK;
}

err config_flag_name(const char *name, struct buf *out)
{
    for (; *name != 0; name++)
        TRY(buf_add_u8(out, (uint8_t)(*name == '_' ? '-' : *name)));
    return OK;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein's distance, one row of the table at a time. */
size_t config_distance(const char *a, const char *b)
{
    size_t cost[CONFIG_DISTANCE_MAX + 1];
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);
    if (a_len > CONFIG_DISTANCE_MAX || b_len > CONFIG_DISTANCE_MAX)
        return SIZE_MAX;
    for (size_t k = 0; k <= b_len; k++)
        cost[k] = k;
    for (size_t i = 0; i < a_len; i++) {
        size_t diagonal = cost[0];
        cost[0] = i + 1;
        for (size_t k = 0; k < b_len; k++) {
            size_t changed = diagonal + (a[i] != b[k]);
            diagonal = cost[k + 1];
            cost[k + 1] = least(changed, least(cost[k], cost[k + 1]) + 1);
        }
    }
    return cost[b_len];
}

/* At most a third of the word may be wrong, and at most three places of a long one. */
bool config_is_nearer(const char *a, const char *b, size_t *best)
{
    size_t d = config_distance(a, b);
    if (d > 3 || d > (strlen(a) + 2) / 3 || d >= *best)
        return false;
    *best = d;
    return true;
}
