#include "crypto/hkdf.h"

#include <string.h>

#include "crypto/secret.h"

void hkdf_extract_parts(bytes salt, const bytes *ikm, size_t n, uint8_t prk[static HKDF_PRK_LEN])
{
    struct hmac m;
    hmac_init(&m, salt);
    for (size_t i = 0; i < n; i++)
        hmac_add(&m, ikm[i]);
    hmac_end(&m, prk);
}

void hkdf_extract(bytes salt, bytes ikm, uint8_t prk[static HKDF_PRK_LEN])
{
    hkdf_extract_parts(salt, &ikm, 1, prk);
}

/* T(i) = HMAC(prk, T(i-1) || info || i), i from 1; the keyed start is computed once and copied. */
err hkdf_expand_parts(const uint8_t prk[static HKDF_PRK_LEN], const bytes *info, size_t n,
                      uint8_t *out, size_t len)
{
    ENSURE(len <= HKDF_OUT_MAX, LIMIT);
    SECRET(struct hmac, keyed);
    SECRET_BYTES(block, SHA256_LEN);
    hmac_init(&keyed, bytes_of(prk, HKDF_PRK_LEN));

    uint8_t counter = 1;
    for (size_t done = 0; done < len; counter++) {
        struct hmac m = keyed;
        if (done > 0)
            hmac_add(&m, BYTES_ARRAY(block));
        for (size_t i = 0; i < n; i++)
            hmac_add(&m, info[i]);
        hmac_add(&m, bytes_of(&counter, 1));
        hmac_end(&m, block);

        size_t part = len - done < SHA256_LEN ? len - done : SHA256_LEN;
        memcpy(out + done, block, part);
        done += part;
    }
    return OK;
}

err hkdf_expand(const uint8_t prk[static HKDF_PRK_LEN], bytes info, uint8_t *out, size_t len)
{
    return hkdf_expand_parts(prk, &info, 1, out, len);
}
