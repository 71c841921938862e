#include "tests/lib/law.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"

void law_hex(struct buf *out, const char *hex)
{
    buf_truncate(out, 0);
    CHECK_OK(text_hex_decode(out, bytes_str(hex)));
}

const char *law_vectors(void)
{
    const char *folder = getenv("SEALGATE_VECTORS");
    if (folder != NULL && access(folder, R_OK) == 0)
        return folder;
    print_message("SKIPPED: no vectors at SEALGATE_VECTORS=%s\n", folder ? folder : "");
    return NULL;
}

void law_read_file(struct buf *out, const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        fail_msg("cannot read %s", path);
    uint8_t part[4096];
    for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;)
        CHECK_OK(buf_add(out, bytes_of(part, n)));
    (void)fclose(f);
}

void law_every_allocation_fails_once(err (*run)(void *arg), void *arg)
{
    unsigned long before = mem_requests();
    CHECK_OK(run(arg));
    unsigned long n = mem_requests() - before;
    for (unsigned long i = 0; i < n; i++) {
        mem_fail_at((long)i);
        err e = run(arg);
        mem_fail_at(-1);
        if (e.code != ERR_OK && e.code != ERR_NOMEM)
            fail_msg("allocation %lu of %lu failed: got %s", i, n, err_word(e));
    }
}
