#include "attest/claims.h"

#include "attest/map.h"

static const struct map_field fields[] = {
    { "model", MAP_TEXT, false, offsetof(struct claims, model), 1, CLAIMS_MODEL_MAX },
    { "worker", MAP_NAME, false, offsetof(struct claims, worker), 1, CLAIMS_WORKER_MAX },
    { "software", MAP_NAME, false, offsetof(struct claims, software), 1, CLAIMS_SOFTWARE_MAX },
    { "operator_key", MAP_BYTES, true, offsetof(struct claims, operator_key), CLAIMS_KEY_LEN,
      CLAIMS_KEY_LEN },
    { "model_version", MAP_TEXT, false, offsetof(struct claims, model_version), 1,
      CLAIMS_MODEL_VERSION_MAX },
    { "manifest_digest", MAP_BYTES, true, offsetof(struct claims, manifest_digest),
      CLAIMS_DIGEST_LEN, CLAIMS_DIGEST_LEN },
};

err claims_read(bytes in, struct claims *out)
{
    ENSURE(in.len <= CLAIMS_MAX, LIMIT);
    return map_read(in, fields, ARRAY_LEN(fields), out, sizeof *out);
}

err claims_write(struct buf *out, const struct claims *c)
{
    return map_write(out, fields, ARRAY_LEN(fields), c);
}
