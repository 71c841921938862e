/*
 * Any bytes as a list of key configurations, and as a bare one. Laws: what was read, written again,
 * reads the same; and is the same bytes when nothing was left out.
 */
#include <stdlib.h>

#include "wire/keylist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool law)
{
    if (!law)
        abort();
}

static void check_same(const struct key_config *a, const struct key_config *b)
{
    demand(a->id == b->id && a->kem == b->kem && a->suites_n == b->suites_n);
    demand(bytes_equal(a->public_key, b->public_key));
    for (size_t i = 0; i < a->suites_n; i++)
        demand(a->suites[i].kdf == b->suites[i].kdf && a->suites[i].aead == b->suites[i].aead);
}

static void check(bytes in, enum keylist_form form)
{
    struct key_config got[KEYLIST_CONFIGS_MAX];
    struct key_config again[KEYLIST_CONFIGS_MAX];
    size_t n = 0;
    size_t again_n = 0;
    BUF_AUTO out = BUF(1 << 20);
    err e = keylist_read(in, form, got, KEYLIST_CONFIGS_MAX, &n);
    demand(e.code == ERR_OK || e.code == ERR_MALFORMED || e.code == ERR_LIMIT ||
           (e.code == ERR_UNSUPPORTED && form == KEYLIST_BARE));
    if (e.code != ERR_OK || n == 0)
        return;
    demand(err_is_ok(keylist_write(&out, got, n, form)));
    demand(out.len <= in.len);
    if (out.len == in.len)
        demand(bytes_equal(buf_view(&out), in));
    demand(err_is_ok(keylist_read(buf_view(&out), form, again, KEYLIST_CONFIGS_MAX, &again_n)));
    demand(again_n == n);
    for (size_t i = 0; i < n; i++) {
        char hint[KEY_CONFIG_HINT_LEN + 1];
        check_same(&got[i], &again[i]);
        demand(err_is_ok(key_config_hint(&got[i], hint)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(bytes_of(data, size), KEYLIST_PREFIXED);
    check(bytes_of(data, size), KEYLIST_BARE);
    return 0;
}
