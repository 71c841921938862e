#include "gateway/findings.h"

#include "base/json.h"
#include "base/mem.h"

enum { DEPTH_MAX = 16, LEN_LEN = 2 };

/* ---- lists of models ---- */

static err add_name(struct model_list *l, bytes name)
{
    ENSURE(l->n < FINDINGS_MODELS_MAX && name.len <= UINT16_MAX, LIMIT);
    TRY(buf_add_u8(&l->names, (uint8_t)(name.len >> 8)));
    TRY(buf_add_u8(&l->names, (uint8_t)(name.len & 0xff)));
    TRY(buf_add(&l->names, name));
    l->n++;
    return OK;
}

static err read_names(struct model_list *l, const struct json *root)
{
    const struct json *data = json_get(root, "data");
    bytes name;
    ENSURE(json_kind(data) == JSON_KIND_ARRAY, MALFORMED);
    for (size_t i = 0; i < json_len(data); i++) {
        ENSURE(json_text(json_get(json_at(data, i), "id"), &name), MALFORMED);
        TRY(add_name(l, name));
    }
    return OK;
}

err model_list_read(struct model_list *out, bytes text)
{
    struct json *root;
    struct model_list fresh = { .known = true, .names = BUF(FINDINGS_NAMES_MAX) };
    ENSURE(text.len <= FINDINGS_LIST_MAX, LIMIT);
    TRY(json_read(&root, text, DEPTH_MAX));
    err e = read_names(&fresh, root);
    json_free(root);
    if (e.code != ERR_OK) {
        model_list_clear(&fresh);
        return e;
    }
    model_list_clear(out);
    *out = fresh;
    return OK;
}

void model_list_clear(struct model_list *l)
{
    buf_clear(&l->names);
    *l = (struct model_list){ 0 };
}

bool model_list_has(const struct model_list *l, bytes model)
{
    bytes rest = buf_view(&l->names);
    while (rest.len >= LEN_LEN) {
        size_t len = (size_t)rest.at[0] << 8 | rest.at[1];
        if (bytes_equal(bytes_slice(rest, LEN_LEN, len), model))
            return true;
        rest = bytes_slice(rest, LEN_LEN + len, rest.len);
    }
    return false;
}

bool model_list_equal(const struct model_list *a, const struct model_list *b)
{
    return a->known == b->known && bytes_equal(buf_view(&a->names), buf_view(&b->names));
}

static err copy_list(struct model_list *out, const struct model_list *l)
{
    out->names = BUF(FINDINGS_NAMES_MAX);
    TRY(buf_add(&out->names, buf_view(&l->names)));
    out->known = l->known;
    out->n = l->n;
    return OK;
}

/* ---- snapshots ---- */

err findings_new(struct findings **out)
{
    struct findings *f;
    TRY(mem_new(&f));
    atomic_init(&f->refs, 1);
    *out = f;
    return OK;
}

struct findings *findings_ref(struct findings *f)
{
    if (f != NULL)
        atomic_fetch_add(&f->refs, 1);
    return f;
}

void findings_unref(struct findings *f)
{
    if (f == NULL || atomic_fetch_sub(&f->refs, 1) != 1)
        return;
    for (size_t i = 0; i < f->n; i++)
        model_list_clear(&f->at[i].models);
    mem_free(f);
}

err findings_add(struct findings *f, const struct worker_finding *finding)
{
    ENSURE(f->n < WORKERS_MAX, LIMIT);
    struct worker_finding *to = &f->at[f->n];
    to->place = finding->place;
    memcpy(to->identity, finding->identity, sizeof to->identity);
    to->sick = finding->sick;
    err e = copy_list(&to->models, &finding->models);
    if (e.code != ERR_OK) {
        model_list_clear(&to->models);
        return e;
    }
    f->n++;
    return OK;
}

const struct worker_finding *findings_of(const struct findings *f, size_t place,
                                         const uint8_t identity[static VERDICT_KEY_LEN])
{
    for (size_t i = 0; f != NULL && i < f->n; i++) {
        if (f->at[i].place == place &&
            bytes_equal(BYTES_ARRAY(f->at[i].identity), bytes_of(identity, VERDICT_KEY_LEN)))
            return &f->at[i];
    }
    return NULL;
}
