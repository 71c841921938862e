#include "enclave-worker/secrets.h"

#include "attest/sealed_root.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

struct secrets {
    struct sealed_key *key; /* NULL: files are as they are */
};

static err complain(struct buf *message, const char *name, const char *what)
{
    TRY(buf_addf(message, "%s: %s", name, what));
    FAIL(CONFIG);
}

static err open_key(struct secrets *s, const struct secrets_settings *settings, struct buf *message)
{
    const struct sealed_source source = { .platform = settings->platform,
                                          .service = settings->key_service,
                                          .file = settings->key_file };
    if (!settings->sealed)
        return OK;
    err e = sealed_key_open(&s->key, &source, bytes_str(settings->key_id));
    if (e.code == ERR_OK || e.code == ERR_NOMEM)
        return e;
    return complain(message, "secrets", sealed_key_fault(e));
}

err secrets_open(struct secrets **out, const struct secrets_settings *settings, struct buf *message)
{
    struct secrets *s;
    TRY(mem_new(&s));
    err e = open_key(s, settings, message);
    if (e.code != ERR_OK) {
        secrets_close(s);
        return e;
    }
    *out = s;
    return OK;
}

void secrets_close(struct secrets *s)
{
    if (s == NULL)
        return;
    sealed_key_free(s->key);
    mem_free(s);
}

static err read_sealed(const struct secrets *s, const char *path, struct buf *out)
{
    BUF_AUTO sealed = BUF(SEALED_SECRET_MAX + SEALED_OVERHEAD);
    TRY(file_read(&sealed, path));
    return sealed_read(s->key, buf_view(&sealed), out);
}

err secrets_read(const struct secrets *s, const char *path, struct buf *out, struct buf *message)
{
    size_t before = out->len;
    err e = s->key != NULL ? read_sealed(s, path, out) : file_read(out, path);
    if (e.code == ERR_OK)
        return OK;
    buf_truncate(out, before);
    if (e.code == ERR_NOMEM)
        return e;
    if (e.code == ERR_CRYPTO)
        return complain(message, path,
                        "is not sealed to this TEE under secrets_key_id, or was changed");
    return complain(message, path, file_trouble(e));
}

err secrets_read_line(const struct secrets *s, const char *path, struct buf *out,
                      struct buf *message)
{
    BUF_AUTO whole = BUF(SEALED_SECRET_MAX);
    TRY(secrets_read(s, path, &whole, message));
    err e = buf_add(out, text_first_line(buf_view(&whole)));
    return e.code == ERR_LIMIT ? complain(message, path, "is longer than it may be") : e;
}
