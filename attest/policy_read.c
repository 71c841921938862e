#include "attest/policy_read.h"

#include "base/mem.h"
#include "base/text.h"
#include "crypto/secret.h"

err policy_refuse(const struct policy_reading *r, const struct yaml *at, const char *key,
                  const char *what)
{
    if (r->message != NULL)
        (void)buf_addf(r->message, "%s:%u: %s: %s", r->name, at->line, key, what);
    FAIL(CONFIG);
}

/* --- lists ----------------------------------------------------------------------------------- */

void policy_list_clear(struct policy_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        buf_clear(&list->items[i]);
    mem_free(list->items);
    *list = (struct policy_list){ 0 };
}

size_t policy_list_place(const struct policy_list *list, bytes value)
{
    for (size_t i = 0; i < list->n; i++) {
        if (secret_equal(buf_view(&list->items[i]), value))
            return i + 1;
    }
    return 0;
}

bool policy_list_has(const struct policy_list *list, bytes value)
{
    return policy_list_place(list, value) > 0;
}

static bool is_zero(bytes b)
{
    uint8_t any = 0;
    for (size_t i = 0; i < b.len; i++)
        any |= b.at[i];
    return any == 0;
}

static err decode_item(const char *text, size_t len, struct buf *out)
{
    if (len == 0)
        return buf_add_str(out, text);
    TRY(text_hex_decode(out, bytes_str(text)));
    ENSURE(out->len == len && !is_zero(buf_view(out)), MALFORMED);
    return OK;
}

static err read_item(const struct policy_reading *r, const struct yaml *node, const char *key,
                     struct policy_item item, struct buf *out)
{
    *out = BUF(item.len > 0 ? item.len : item.text_max);
    if (node->kind != YAML_TEXT || node->text[0] == '\0')
        return policy_refuse(r, node, key, item.what);
    err e = decode_item(node->text, item.len, out);
    if (err_is_ok(e) || e.code == ERR_NOMEM)
        return e;
    return policy_refuse(r, node, key, item.what);
}

err policy_read_list(const struct policy_reading *r, const struct yaml *node, const char *key,
                     struct policy_item item, struct policy_list *out)
{
    if (node->kind != YAML_LIST || node->n == 0)
        return policy_refuse(r, node, key, "give a list in brackets with at least one value");
    if (node->n > POLICY_VALUES_MAX)
        return policy_refuse(r, node, key, "too many values");
    out->items = mem_alloc_array(node->n, sizeof *out->items);
    ENSURE(out->items != NULL, NOMEM);
    for (const struct yaml *each = node->first; each != NULL; each = each->next)
        TRY(read_item(r, each, key, item, &out->items[out->n++]));
    return OK;
}

/* --- one value ------------------------------------------------------------------------------- */

err policy_read_u64(const struct policy_reading *r, const struct yaml *node, const char *key,
                    uint64_t most, uint64_t *out)
{
    uint64_t n = 0;
    if (node->kind != YAML_TEXT || !text_u64(bytes_str(node->text), &n))
        return policy_refuse(r, node, key, "give a number");
    if (n > most)
        return policy_refuse(r, node, key, "too large");
    *out = n;
    return OK;
}

err policy_read_bool(const struct policy_reading *r, const struct yaml *node, const char *key,
                     bool *out)
{
    bytes text = bytes_str(node->text);
    bool yes = bytes_equal(text, BYTES_LIT("true"));
    if (node->kind != YAML_TEXT || (!yes && !bytes_equal(text, BYTES_LIT("false"))))
        return policy_refuse(r, node, key, "give true or false");
    *out = yes;
    return OK;
}

static err read_word(const struct policy_reading *r, const struct yaml *node, const char *key,
                     const char *const *words, unsigned *out)
{
    for (unsigned i = 0; words[i] != NULL; i++) {
        if (node->kind != YAML_TEXT || !bytes_equal(bytes_str(node->text), bytes_str(words[i])))
            continue;
        *out |= 1U << i;
        return OK;
    }
    return policy_refuse(r, node, key, "no such word here");
}

err policy_read_words(const struct policy_reading *r, const struct yaml *node, const char *key,
                      const char *const *words, unsigned *out)
{
    *out = 0;
    if (node->kind != YAML_LIST || node->n == 0)
        return policy_refuse(r, node, key, "give a list in brackets with at least one word");
    for (const struct yaml *each = node->first; each != NULL; each = each->next)
        TRY(read_word(r, each, key, words, out));
    return OK;
}

/* --- maps ------------------------------------------------------------------------------------ */

static err read_pair(const struct policy_reading *r, const struct yaml *pair,
                     const struct policy_key *keys, size_t n, void *into)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes_equal(bytes_str(pair->key), bytes_str(keys[i].key)))
            return keys[i].read(r, pair, keys[i].key, into);
    }
    return policy_refuse(r, pair, pair->key, "no such setting here");
}

err policy_read_map(const struct policy_reading *r, const struct yaml *node, const char *key,
                    const struct policy_key *keys, size_t n, void *into)
{
    if (node->kind != YAML_MAP || node->n == 0)
        return policy_refuse(r, node, key, "give a map of settings");
    for (const struct yaml *pair = node->first; pair != NULL; pair = pair->next)
        TRY(read_pair(r, pair, keys, n, into));
    return OK;
}
