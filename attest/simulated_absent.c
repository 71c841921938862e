/* Stands in for simulated.c in a build with -Dsimulated=false: nothing is made, nothing is
 * accepted. */
#include "attest/simulated.h"

err simulated_attester_new(struct attester **out, const struct simulated_registers *given)
{
    (void)out;
    (void)given;
    FAIL(UNSUPPORTED);
}

void simulated_measure(bytes image, struct simulated_registers *out)
{
    (void)image;
    memset(out, 0, sizeof *out);
}

const struct verifier *const simulated_verifier = NULL;
