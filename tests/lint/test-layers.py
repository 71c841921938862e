#!/usr/bin/env python3
"""Plants faults for check-layers.py."""
import planting


def file(include):
    return f"int planted;\n#include {include}\n"


planting.prove("check-layers.py", [
    ("base/planted1.c", file('"crypto/hash.h"'), ":2: base (level 0) may not include"),
    ("wire/planted2.c", file('"receipts/air.h"'), "wire (level 2) may not include receipts/air.h"),
    ("api/planted3.c", file('"crypto/hash.h"'), "api (level 2) may not include crypto/hash.h"),
    ("crypto/planted4.h", file('"wire/ohttp.h"'), "crypto (level 1) may not include wire/ohttp.h"),
    ("gateway/planted5.c", file('"cli/main.h"'), "gateway (level 3) may not include cli/main.h"),
    ("cli/planted6.c", file('"tests/lib/law.h"'), "cli (level 3) may not include tests/lib/law.h"),
    ("wire/planted7.c", file('"ohttp.h"'), "not written from the root"),
    ("wire/planted8.c", file('"../base/err.h"'), "not written from the root"),
    ("wire/planted9.c", file("<openssl/evp.h>"), "<openssl/evp.h> belongs in crypto"),
    ("gateway/planted10.c", "  #  include <uv.h>\n", ":1: <uv.h> belongs in base"),
    ("attest/planted11.c", file("<pthread.h>"), "<pthread.h> belongs in"),
    ("enclave-worker/planted12.c", file("<microhttpd.h>"), "<microhttpd.h> belongs in gateway"),
    ("base/planted13.h", file("<jansson.h>"), "<jansson.h> in a header"),
    ("gateway/planted14.c", file('"gateway/front_private.h"'), "is for the files of gateway/front"),
    ("gateway/relay_planted21.c", file('"wire/ohttp.h"'), "a relay has no way to a key"),
    ("gateway/relay_planted22.h", file('"attest/verify.h"'), "a relay has no way to a key"),
    ("gateway/relay_planted23.c", file('"wire/link.h"'), None),
    ("wire/planted15.c", file('"crypto/hash.h"'), None),
    ("wire/planted16.c", file('"wire/ohttp.h"'), None),
    ("crypto/planted17.c", file("<openssl/evp.h>"), None),
    ("gateway/planted18.c", file('"wire/ohttp.h"'), None),
    ("base/planted19.h", file("<stdatomic.h>"), None),
    ("tests/unit/base/planted20.c", file("<pthread.h>"), None),
])
