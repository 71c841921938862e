#include "attest/statement.h"

#include "attest/bundle.h"
#include "attest/envelope.h"
#include "attest/map.h"

#define CONTENT_TYPE "application/vnd.sealgate.key-statement+cbor"
#define AT(member) offsetof(struct statement, member)

/* The end of year 9999: later dates are mistakes, and sums with them stay far from overflow. */
#define UNIX_TIME_MAX 253402300799

static const struct map_field fields[] = {
    { "worker", MAP_NAME, false, AT(worker), 1, STATEMENT_WORKER_MAX },
    { "ehbp_key", MAP_BYTES, true, AT(ehbp_key), 1, STATEMENT_EHBP_KEY_MAX },
    { "key_list", MAP_BYTES, false, AT(key_list), 1, STATEMENT_KEY_LIST_MAX },
    { "not_after", MAP_UINT, false, AT(not_after), 1, UNIX_TIME_MAX },
    { "generation", MAP_UINT, false, AT(generation), 0, UINT64_MAX },
    { "not_before", MAP_UINT, false, AT(not_before), 0, UNIX_TIME_MAX },
};

static err check_dates(const struct statement *s)
{
    ENSURE(s->not_before < s->not_after, MALFORMED);
    ENSURE(s->not_after - s->not_before <= STATEMENT_LIFETIME_S_MAX, LIMIT);
    return OK;
}

err statement_write(struct buf *out, const struct statement *s, const struct signing_key *identity)
{
    BUF_AUTO payload = BUF(BUNDLE_STATEMENT_MAX);
    TRY(check_dates(s));
    TRY(map_write(&payload, fields, ARRAY_LEN(fields), s));
    return envelope_write(out, CONTENT_TYPE, buf_view(&payload), identity);
}

static err read_statement(bytes in, struct cose_sign1 *signed_form, struct statement *out)
{
    ENSURE(in.len <= BUNDLE_STATEMENT_MAX, LIMIT);
    TRY(envelope_read(in, CONTENT_TYPE, signed_form));
    struct statement s;
    TRY(map_read(signed_form->payload, fields, ARRAY_LEN(fields), &s, sizeof s));
    TRY(check_dates(&s));
    *out = s;
    return OK;
}

err statement_read(bytes in, struct statement *out)
{
    struct cose_sign1 signed_form;
    return read_statement(in, &signed_form, out);
}

err statement_verify(bytes in, bytes identity, struct statement *out)
{
    struct cose_sign1 signed_form;
    struct statement s;
    TRY(read_statement(in, &signed_form, &s));
    TRY(cose_sign1_verify_ed25519(&signed_form, identity));
    *out = s;
    return OK;
}

enum statement_time statement_time(const struct statement *s, int64_t now, uint32_t skew_s)
{
    int64_t not_before = (int64_t)s->not_before;
    int64_t not_after = (int64_t)s->not_after;
    if (now < not_before - (int64_t)skew_s)
        return STATEMENT_EARLY;
    return now < not_after + (int64_t)skew_s ? STATEMENT_CURRENT : STATEMENT_EXPIRED;
}
