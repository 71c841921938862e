#include "crypto/labeled.h"

#define VERSION BYTES_LIT("HPKE-v1")

void labeled_extract(bytes suite_id, bytes salt, bytes label, bytes ikm,
                     uint8_t prk[static HKDF_PRK_LEN])
{
    const bytes parts[] = { VERSION, suite_id, label, ikm };
    hkdf_extract_parts(salt, parts, 4, prk);
}

err labeled_expand(const uint8_t prk[static HKDF_PRK_LEN], const struct labeled *what, uint8_t *out,
                   size_t len)
{
    const uint8_t be[2] = { (uint8_t)(len >> 8), (uint8_t)len };
    const bytes parts[] = { BYTES_ARRAY(be), VERSION, what->suite_id, what->label, what->info };
    return hkdf_expand_parts(prk, parts, 5, out, len);
}
