#include "enclave-worker/tee.h"

#include "attest/attesters.h"
#include "attest/simulated.h"
#include "base/attr.h"

#define TEE_LIST(X)                                                                                \
    X("tdx")                                                                                       \
    X("sev-snp")                                                                                   \
    X("azure-sev-snp")                                                                             \
    X("nitro")                                                                                     \
    X("gcp-confidential-space")                                                                    \
    X(SIMULATED_PLATFORM)

const char *const tee_words[] = { "auto",
#define X(word) word,
                                  TEE_LIST(X)
#undef X
                                      NULL };

static const char TO_TRY[] =
    "Name platform: simulated to try without a TEE; that protects nothing, and says so.";

static bool is(const char *a, const char *b)
{
    return bytes_equal(bytes_str(a), bytes_str(b));
}

struct word tee_log_word(const char *platform)
{
    static const struct word words[] = {
#define X(word) WORD_INIT(word),
        TEE_LIST(X)
#undef X
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (is(words[i].text, platform))
            return words[i];
    }
    return WORD("unknown");
}

static err refuse(const char *what, struct buf *message)
{
    struct detect found;
    TRY(buf_addf(message, "platform: %s\n", what));
    TRY(detect_look(NULL, &found));
    TRY(detect_explain(&found, message));
    TRY(buf_add_str(message, TO_TRY));
    FAIL(CONFIG);
}

static err open_simulated(struct attester **out, const char *image, struct buf *message)
{
    struct simulated_registers registers;
    simulated_measure(bytes_str(image), &registers);
    err e = simulated_attester_new(out, &registers);
    if (e.code != ERR_UNSUPPORTED)
        return e;
    TRY(buf_add_str(message, "platform: this build has no simulated platform"));
    FAIL(CONFIG);
}

/* Vendors' collateral is fetched by gateways, so workers need no way out into the network; Azure's
 * address does not leave the machine. */
static struct attesters_settings hardware(struct thim *thim)
{
    return (struct attesters_settings){ .snp_vmpl = SNP_VMPL_DEFAULT,
                                        .azure_collateral = thim != NULL ? thim_collateral : NULL,
                                        .azure_owner = thim };
}

static err open_any(struct attester **out, const struct attesters_settings *settings,
                    struct buf *message)
{
    struct detect found;
    err e = attesters_open_any(out, settings, &found);
    if (err_is_ok(e) || e.code == ERR_NOMEM)
        return e;
    return refuse(found.choice == NULL ? "auto looked for a TEE and found none that can be used:"
                                       : "the TEE that was found cannot be used:",
                  message);
}

static err open_named(struct attester **out, const char *word,
                      const struct attesters_settings *settings, struct buf *message)
{
    err e = attesters_open(out, word, settings);
    if (err_is_ok(e) || e.code == ERR_NOMEM)
        return e;
    BUF_AUTO what = BUF(256);
    TRY(buf_addf(&what, "%s cannot be used here. What was looked for:", word));
    return refuse(buf_str(&what), message);
}

err tee_open(struct attester **out, const char *word, const char *image, struct thim *thim,
             struct buf *message)
{
    const struct attesters_settings settings = hardware(thim);
    if (is(word, SIMULATED_PLATFORM))
        return open_simulated(out, image, message);
    return is(word, tee_words[0]) ? open_any(out, &settings, message)
                                  : open_named(out, word, &settings, message);
}
