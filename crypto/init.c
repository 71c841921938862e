#include "crypto/init.h"

#include <sodium.h>

#include "crypto/setup.h"

err crypto_init(void)
{
    ENSURE(sodium_init() >= 0, INTERNAL);
    TRY(aead_setup());
    hpke_setup();
    sha256_pair_setup();
    return OK;
}

void crypto_thread_end(void)
{
    aead_thread_end();
    kem_thread_end();
}
