#include "receipts/fresh.h"

#include "base/mem.h"

enum { SLOTS = 8192 };

/* Entries are numbered from 1, so that a zeroed slot is an empty one. */
struct entry {
    int64_t hash;
    int64_t seq;
    uint32_t older; /* in the same slot */
};

struct fresh {
    uint32_t slots[SLOTS]; /* the newest entry of each */
    struct entry entries[FRESH_MAX + 1];
    uint32_t len;
};

_Static_assert((SLOTS & (SLOTS - 1)) == 0, "a slot is some bits of the hash");

static uint32_t *slot_of(struct fresh *f, int64_t hash)
{
    return &f->slots[(uint64_t)hash & (SLOTS - 1)];
}

err fresh_new(struct fresh **out)
{
    return mem_new(out);
}

void fresh_free(struct fresh *f)
{
    mem_free(f);
}

err fresh_add(struct fresh *f, int64_t hash, int64_t seq)
{
    ENSURE(f->len < FRESH_MAX, LIMIT);
    uint32_t *slot = slot_of(f, hash);
    f->entries[++f->len] = (struct entry){ .hash = hash, .seq = seq, .older = *slot };
    *slot = f->len;
    return OK;
}

size_t fresh_len(const struct fresh *f)
{
    return f->len;
}

void fresh_entry(const struct fresh *f, size_t i, int64_t *hash, int64_t *seq)
{
    *hash = f->entries[i + 1].hash;
    *seq = f->entries[i + 1].seq;
}

void fresh_cut(struct fresh *f, size_t len)
{
    while (f->len > len) {
        const struct entry *e = &f->entries[f->len--];
        *slot_of(f, e->hash) = e->older;
    }
}

bool fresh_next(const struct fresh *f, int64_t hash, size_t *at, int64_t *seq)
{
    uint32_t i = *at == 0 ? f->slots[(uint64_t)hash & (SLOTS - 1)] : f->entries[*at].older;
    while (i != 0 && f->entries[i].hash != hash)
        i = f->entries[i].older;
    if (i == 0)
        return false;
    *at = i;
    *seq = f->entries[i].seq;
    return true;
}
