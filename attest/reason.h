/*
 * attest/reason.h - why a check came out as it did: a closed list, one word each, with a sentence
 * and what to do about it. The words are for logs, metrics and scripts, and stay as they are.
 */
#pragma once

/* word, sentence, advice */
#define REASON_LIST(X)                                                                             \
    X(UNCHECKED, "unchecked", "this was not checked", "report this as a fault of the program")     \
    X(PASSED, "ok", "holds", "")                                                                   \
    X(EARLIER_FAILURE, "earlier-failure", "not looked at, since an earlier check failed",          \
      "see the check that failed")                                                                 \
    X(NOT_ASKED, "not-asked", "nobody asked for this", "")                                         \
    X(NOT_APPLICABLE, "not-applicable", "this platform has nothing to check here", "")             \
    X(NO_STATEMENT, "no-statement", "an evidence document carries no key statement", "")           \
    X(ANY_ALLOWED, "any-allowed", "the policy accepts any value of the simulated platform", "")    \
    X(MALFORMED, "malformed", "the bytes do not have the form they must have",                     \
      "check that worker and gateway are of compatible versions")                                  \
    X(TOO_LARGE, "too-large", "something in it is over its limit",                                 \
      "check that the address is really that of a worker")                                         \
    X(NO_VERIFIER, "no-verifier", "this program cannot verify that platform",                      \
      "use a build that has a verifier for it")                                                    \
    X(SURPLUS, "surplus", "it carries a part that this platform has no use for",                   \
      "check that worker and gateway are of compatible versions")                                  \
    X(BAD_SIGNATURE, "bad-signature", "the signature does not hold",                               \
      "treat the worker as hostile or broken; look for what stands between")                       \
    X(BAD_CHAIN, "bad-chain", "the certificates do not lead to a pinned root",                     \
      "check the collateral and the clock")                                                        \
    X(REVOKED, "revoked", "a certificate of its chain was revoked by the vendor",                  \
      "treat the worker's host as compromised")                                                    \
    X(NO_COLLATERAL, "no-collateral", "what the vendor publishes to check it with is missing",     \
      "let the worker or the gateway fetch it")                                                    \
    X(STALE_COLLATERAL, "stale-collateral", "what the vendor published is past its time",          \
      "fetch it again; check the clock")                                                           \
    X(UNSUPPORTED, "unsupported", "it is of a kind or version this program does not know",         \
      "use a newer version of this program")                                                       \
    X(SETTING, "setting", "the platform is set up in a way the policy does not allow",             \
      "change the setting at the worker's host, or the policy knowingly")                          \
    X(MISMATCH, "mismatch", "the value is not one that is expected",                               \
      "compare what is deployed with what the policy names")                                       \
    X(ABSENT, "absent", "a value that is asked for is not there",                                  \
      "configure it at the worker, or take it out of the policy")                                  \
    X(NO_EXPECTATION, "no-expectation", "there is nothing to compare with, and that refuses",      \
      "name the acceptable values in the policy")                                                  \
    X(NO_POLICY, "no-policy", "there is no policy, and that refuses", "give a policy file")        \
    X(PLATFORM_NOT_NAMED, "platform-not-named", "the policy does not name this platform",          \
      "name it under `platforms` if it is to be accepted")                                         \
    X(DEBUG_ENABLED, "debug-enabled", "the TEE runs in debug mode",                                \
      "start the worker without debug mode")                                                       \
    X(TCB_LOW, "tcb-low", "firmware or microcode is below what is accepted",                       \
      "update the host, or lower the policy's minimum knowingly")                                  \
    X(TOO_OLD, "too-old", "it is older than the policy allows", "ask the worker for new evidence") \
    X(FROM_THE_FUTURE, "from-the-future", "its time lies ahead of ours", "check both clocks")      \
    X(EXPIRED, "expired", "its time is over", "ask the worker for a new one; check both clocks")   \
    X(NOT_YET_VALID, "not-yet-valid", "its time has not come", "check both clocks")

enum reason {
#define X(name, word, sentence, advice) REASON_##name,
    REASON_LIST(X)
#undef X
};

const char *reason_word(enum reason r);
const char *reason_sentence(enum reason r);
const char *reason_advice(enum reason r);
