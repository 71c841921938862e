#include "crypto/token.h"

#include "base/mem.h"
#include "base/text.h"
#include "crypto/secret.h"

static bytes take_line(bytes *rest)
{
    size_t len = text_find(*rest, BYTES_LIT("\n"));
    bytes line = bytes_slice(*rest, 0, len);
    *rest = bytes_slice(*rest, len + 1, rest->len);
    if (bytes_ends(line, BYTES_LIT("\r")))
        line.len--;
    return text_trim(line);
}

static bool is_name(bytes name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    for (size_t i = 0; i < name.len; i++) {
        if (name.at[i] == 0 || strchr(allowed, name.at[i]) == NULL)
            return false;
    }
    return name.len <= TOKEN_NAME_MAX;
}

static err read_line(struct token *t, bytes line)
{
    BUF_AUTO digest = BUF(SHA256_LEN);
    bytes hex = bytes_slice(line, 0, 2 * SHA256_LEN);
    bytes rest = bytes_slice(line, 2 * SHA256_LEN, line.len);
    bytes name = text_trim(rest);
    TRY(text_hex_decode(&digest, hex));
    ENSURE(digest.len == SHA256_LEN && is_name(name), MALFORMED);
    ENSURE(rest.len == 0 || name.len < rest.len, MALFORMED);
    memcpy(t->digest, digest.at, SHA256_LEN);
    if (name.len > 0)
        memcpy(t->name, name.at, name.len);
    t->name[name.len] = 0;
    return OK;
}

static err refuse(struct buf *message, unsigned line, const char *what)
{
    TRY(buf_addf(message, "%u: %s", line, what));
    FAIL(CONFIG);
}

static err read_all(struct token_set *s, bytes file, struct buf *message)
{
    unsigned at = 0;
    while (file.len > 0) {
        bytes line = take_line(&file);
        at++;
        if (line.len == 0 || line.at[0] == '#')
            continue;
        if (s->n == TOKENS_MAX)
            return refuse(message, at, "too many tokens");
        if (read_line(&s->at[s->n], line).code != ERR_OK)
            return refuse(message, at,
                          "not a token; write the SHA-256 of one in 64 hex digits, and a name");
        s->n++;
    }
    if (s->n == 0)
        return refuse(message, at, "no token in this file, so nobody could get in");
    return OK;
}

err token_set_read(struct token_set *out, bytes file, struct buf *message)
{
    struct token_set s = { .at = mem_alloc_array(TOKENS_MAX, sizeof(struct token)) };
    ENSURE(s.at != NULL, NOMEM);
    err e = read_all(&s, file, message);
    if (e.code != ERR_OK) {
        token_set_clear(&s);
        return e;
    }
    *out = s;
    return OK;
}

void token_set_clear(struct token_set *s)
{
    mem_free(s->at);
    *s = (struct token_set){ 0 };
}

const struct token *token_set_find(const struct token_set *s, bytes token)
{
    uint8_t digest[SHA256_LEN];
    const struct token *found = NULL;
    sha256_of(token, digest);
    for (size_t i = 0; i < s->n; i++) {
        if (secret_equal(BYTES_ARRAY(digest), BYTES_ARRAY(s->at[i].digest)))
            found = &s->at[i];
    }
    return token.len > 0 ? found : NULL;
}

bytes token_of_authorization(bytes field)
{
    bytes scheme = bytes_slice(field, 0, 7);
    if (!text_equal_nocase(scheme, BYTES_LIT("bearer ")))
        return (bytes){ 0 };
    return text_trim(bytes_slice(field, 7, field.len));
}
