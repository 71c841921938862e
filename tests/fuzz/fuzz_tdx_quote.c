/* Whatever a quote says, its parts lie inside it and do not overlap; one that has no fault is read the
 * same with zeros behind it; and nothing that is not as Intel signed it is accepted. */
#include <stdlib.h>

#include "attest/tdx_verify.h"
#include "base/mem.h"
#include "crypto/init.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool cond)
{
    if (!cond)
        abort();
}

static bool is_inside(bytes part, bytes whole)
{
    return part.len == 0 || (part.at >= whole.at && part.at + part.len <= whole.at + whole.len);
}

static bool any(const struct tdx_faults *set)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < TDX_FAULT_WORDS; i++)
        bits |= set->bits[i];
    return bits != 0;
}

static void check_parts(const struct tdx_quote *q, bytes in)
{
    const bytes parts[] = { q->signed_part,  q->signature, q->key,      q->qe_report,
                            q->qe_signature, q->qe_auth,   q->pck_chain };
    const uint8_t *behind = in.at;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        check(is_inside(parts[i], in));
        check(parts[i].len == 0 || parts[i].at >= behind);
        if (parts[i].len > 0)
            behind = parts[i].at + parts[i].len;
    }
    check(q->trailing <= in.len);
    for (enum tdx_field f = 0; f < TDX_FIELDS; f++)
        check(is_inside(tdx_quote_field(q, f), in));
}

static void check_with_zeros(bytes in, const struct tdx_quote *q)
{
    struct tdx_quote again;
    struct tdx_faults faults = { 0 };
    BUF_AUTO longer = BUF(TDX_QUOTE_MAX);
    if (in.len == TDX_QUOTE_MAX)
        return;
    check(err_is_ok(buf_add(&longer, in)) && err_is_ok(buf_add_u8(&longer, 0)));
    tdx_quote_read(buf_view(&longer), &again, &faults);
    check(!any(&faults) && again.trailing == q->trailing + 1);
    check(bytes_equal(again.pck_chain, q->pck_chain));
}

/* Without collateral nothing is accepted, whoever signed it. */
static void check_refused(bytes in)
{
    struct tdx_result *r;
    check(err_is_ok(mem_new(&r)));
    struct tdx_input input = { .quote = in, .now = 1751328000 };
    check(err_is_ok(tdx_verify(&input, r)) && !r->accepted);
    mem_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    struct tdx_quote q;
    struct tdx_faults faults = { 0 };
    bytes in = bytes_of(data, size);
    if (!ready)
        ready = err_is_ok(crypto_init());
    tdx_quote_read(in, &q, &faults);
    check_parts(&q, in);
    if (!any(&faults))
        check_with_zeros(in, &q);
    check_refused(in);
    return 0;
}
