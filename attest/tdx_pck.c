#include "attest/tdx_pck.h"

#include "crypto/der.h"

enum { VALUE_PPID = 1, VALUE_TCB = 2, VALUE_PCE_ID = 3, VALUE_FMSPC = 4, TCB_PCESVN = 17 };

/* 1.2.840.113741.1.13.1, which every OID in here starts with. */
static const uint8_t prefix[] = { 0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01 };

/* A pair { OID, value }: the numbers of the OID behind its prefix, and the value with its head. */
static err take_pair(bytes *in, bytes *number, bytes *value)
{
    bytes pair;
    bytes oid;
    TRY(der_take(in, DER_SEQUENCE, &pair));
    TRY(der_take(&pair, DER_OID, &oid));
    ENSURE(bytes_starts(oid, BYTES_ARRAY(prefix)), MALFORMED);
    *number = bytes_slice(oid, sizeof prefix, oid.len);
    *value = pair;
    return OK;
}

static err take_u16(bytes *in, uint16_t *out)
{
    uint64_t v;
    TRY(der_take_uint(in, DER_INTEGER, &v));
    ENSURE(v <= UINT16_MAX, MALFORMED);
    *out = (uint16_t)v;
    return OK;
}

static err take_octets(bytes *in, uint8_t *out, size_t len)
{
    bytes b;
    TRY(der_take(in, DER_OCTETS, &b));
    ENSURE(b.len == len, MALFORMED);
    memcpy(out, b.at, len);
    return OK;
}

/* Marks that value number n was seen, for the first time. */
static err mark(uint32_t *seen, unsigned n)
{
    ENSURE((*seen >> n & 1) == 0, MALFORMED);
    *seen |= 1U << n;
    return OK;
}

static err read_tcb_value(unsigned n, bytes value, struct tdx_pck *out)
{
    if (n >= 1 && n <= TDX_COMPONENTS)
        TRY(take_u16(&value, &out->components[n - 1]));
    else if (n == TCB_PCESVN)
        TRY(take_u16(&value, &out->pcesvn));
    else
        return OK; /* the CPUSVN says the same once more */
    ENSURE(value.len == 0, MALFORMED);
    return OK;
}

static err read_tcb(bytes in, struct tdx_pck *out)
{
    const uint32_t all = 0x3fffe; /* 1 to 17 */
    uint32_t seen = 0;
    while (in.len > 0) {
        bytes number;
        bytes value;
        TRY(take_pair(&in, &number, &value));
        ENSURE(number.len == 2 && number.at[0] == VALUE_TCB && number.at[1] < 32, MALFORMED);
        TRY(mark(&seen, number.at[1]));
        TRY(read_tcb_value(number.at[1], value, out));
    }
    ENSURE((seen & all) == all, MALFORMED);
    return OK;
}

static err read_value(unsigned n, bytes value, struct tdx_pck *out)
{
    bytes tcb;
    switch (n) {
    case VALUE_PPID:
        TRY(take_octets(&value, out->ppid, sizeof out->ppid));
        break;
    case VALUE_TCB:
        TRY(der_take(&value, DER_SEQUENCE, &tcb));
        TRY(read_tcb(tcb, out));
        break;
    case VALUE_PCE_ID:
        TRY(take_octets(&value, out->pce_id, sizeof out->pce_id));
        break;
    case VALUE_FMSPC:
        TRY(take_octets(&value, out->fmspc, sizeof out->fmspc));
        break;
    default:
        return OK;
    }
    ENSURE(value.len == 0, MALFORMED);
    return OK;
}

err tdx_pck_read(bytes extension, struct tdx_pck *out)
{
    const uint32_t all = 0x1e; /* 1 to 4 */
    uint32_t seen = 0;
    bytes in;
    *out = (struct tdx_pck){ 0 };
    TRY(der_take(&extension, DER_SEQUENCE, &in));
    ENSURE(extension.len == 0, MALFORMED);
    while (in.len > 0) {
        bytes number;
        bytes value;
        TRY(take_pair(&in, &number, &value));
        ENSURE(number.len == 1 && number.at[0] < 32, MALFORMED);
        TRY(mark(&seen, number.at[0]));
        TRY(read_value(number.at[0], value, out));
    }
    ENSURE((seen & all) == all, MALFORMED);
    return OK;
}
