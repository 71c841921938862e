/* What each code means and what to do about it; part of receipts/check.h. */
#include "receipts/check.h"

static const struct finding_help helps[] = {
    { "RECEIPT_TOO_LARGE", "The file is larger than any receipt may be.",
      "Check that this is the receipt and not another file." },
    { "COSE_DECODE_FAILED",
      "This is not a signed receipt in the one accepted form (tag 18, four parts, nothing behind).",
      "Fetch the receipt again as raw bytes; base64 or hex must be decoded first." },
    { "NON_EMPTY_UNPROTECTED", "The receipt has header fields that no signature covers.",
      "Fetch the receipt from the worker again; something on the way has changed it." },
    { "BAD_ALG", "The header names another signature algorithm than Ed25519.",
      "Ask the issuer for an AIR v1 receipt; no other algorithm is accepted." },
    { "BAD_CONTENT_TYPE", "The header does not say that claims are inside.",
      "Ask the issuer for an AIR v1 receipt." },
    { "MISSING_PAYLOAD", "The receipt has a signature but no claims.",
      "Fetch the whole receipt; detached claims are not accepted." },
    { "PAYLOAD_NOT_MAP",
      "The claims are not exactly those of the profile; the detail says which one.",
      "Ask the issuer which format and version it writes." },
    { "NOT_DETERMINISTIC", "The claims are not in the one order that AIR v1 allows.",
      "The receipt comes from an older or a faulty issuer: ask for a current one." },
    { "BAD_SIG_LENGTH", "The signature is not 64 bytes long.",
      "Fetch the receipt again; it was cut or changed." },
    { "SIG_FAILED", "The signature is not by this key over these claims.",
      "Check that the key belongs to the worker that answered; if it does, do not trust the "
      "receipt." },
    { "BAD_CTI_LENGTH", "The receipt's own id is missing or all zero.",
      "Ask the issuer for a receipt with an id; this one cannot be told from others." },
    { "ZERO_MODEL_HASH", "The receipt does not say which model answered.",
      "Give the worker a model manifest, so that it can name the weights." },
    { "BAD_MEASUREMENT_LENGTH",
      "A measurement register does not have its length, 48 bytes in AIR v1.",
      "Ask the issuer; registers must be copied whole from the evidence document." },
    { "UNKNOWN_MTYPE", "The platform is none that the receipt's profile can describe.",
      "Use a verifier for the profile that the platform needs." },
    { "UNKNOWN_MODEL_HASH_SCHEME", "The way the model was hashed is not known here.",
      "Update this verifier, or ask the issuer." },
    { "UNKNOWN_SECURITY_MODE", "The security mode is neither production nor evaluation.",
      "The receipt is of an older generation: ask the issuer for a current one." },
    { "CLOCK_ERROR", "An age limit was given, but the time is not known.",
      "Set the clock, or give the time of the check." },
    { "TIMESTAMP_FUTURE", "The receipt is dated in the future.",
      "Compare the clocks of this machine and of the worker, or allow more clock skew." },
    { "TIMESTAMP_STALE", "The receipt is older than the age limit.",
      "Ask for a fresh answer, or raise the limit when checking an archive." },
    { "MODEL_HASH_MISMATCH", "Other weights answered than the expected ones.",
      "Compare the expected hash with the model's published one; if it is right, do not trust the "
      "answer." },
    { "REQUEST_HASH_MISMATCH", "The receipt is about another request than this one.",
      "Give the exact bytes that were sent as the request's content." },
    { "RESPONSE_HASH_MISMATCH", "The receipt is about another answer than this one.",
      "Give the exact bytes that were received, for a stream with all its lines; if they are, the "
      "answer was changed." },
    { "ATTESTATION_DOC_HASH_MISMATCH", "The evidence document is not the one the receipt means.",
      "Fetch the evidence by the hash in the receipt." },
    { "MODEL_ID_MISMATCH", "Another model answered than the expected one.",
      "Check the model's name in the request and in the expectation." },
    { "SECURITY_MODE_MISMATCH", "The worker ran in another security mode than expected.",
      "Use a worker of that mode, or change the expectation." },
    { "EVALUATION_MODE_REJECTED", "The worker says that it ran without real hardware evidence.",
      "Use a worker on attested hardware; to accept a trial set-up, allow evaluation mode." },
    { "PLATFORM_MISMATCH", "The worker ran on another kind of platform than expected.",
      "Check the expectation, or use a worker on that platform." },
    { "NONCE_MISMATCH", "The receipt answers another challenge.",
      "Give the nonce that was sent with this very request." },
    { "NONCE_MISSING", "The receipt holds no nonce, so it may be an old one.",
      "Send x-receipt-nonce with the request." },
    { "REPLAY_CTI", "A receipt with this id was seen before.",
      "Treat the answer as replayed, unless the same receipt was checked twice on purpose." },
    { "ZERO_ATTESTATION_DOC_HASH", "The receipt refers to no evidence document.",
      "Use a worker that has evidence; such a receipt proves only who signed it." },
    { "ZERO_REQUEST_HASH", "The receipt is not bound to a request.",
      "Use a worker that hashes its requests." },
    { "ZERO_MEASUREMENTS", "The measurement of the code is all zero, as on a debug platform.",
      "Use a worker that was not started in debug mode." },
};

static const struct finding_help unknown = { "", "The check failed.", "Ask the issuer." };

const struct finding_help *finding_help(const char *code)
{
    const char *colon = strchr(code, ':');
    bytes word = bytes_of(code, colon ? (size_t)(colon - code) : strlen(code));
    for (size_t i = 0; i < sizeof helps / sizeof helps[0]; i++)
        if (bytes_equal(word, bytes_str(helps[i].code)))
            return &helps[i];
    return &unknown;
}
