#include "attest/detect.h"
#include "attest/simulated.h"
#include "base/config.h"
#include "base/text.h"
#include "crypto/init.h"
#include "enclave-worker/tee.h"
#include "tests/lib/law.h"

static bool says(const struct buf *message, const char *word)
{
    return text_find(buf_view(message), bytes_str(word)) < message->len;
}

static void simulated_is_opened_when_it_is_named(void **state)
{
    (void)state;
    struct attester *a = NULL;
    BUF_AUTO message = BUF(CONFIG_MESSAGE_MAX);
    CHECK_OK(tee_open(&a, SIMULATED_PLATFORM, "image", NULL, &message));
    assert_string_equal(a->kind->platform, SIMULATED_PLATFORM);
    CHECK(message.len == 0);
    attester_free(a);
}

/* What is found depends on the machine; that it is never the simulated platform does not. */
static void auto_takes_what_is_there_or_refuses_and_says_why(void **state)
{
    (void)state;
    struct detect found;
    struct attester *a = NULL;
    BUF_AUTO message = BUF(CONFIG_MESSAGE_MAX);
    CHECK_OK(detect_look(NULL, &found));
    err e = tee_open(&a, "auto", "image", NULL, &message);
    if (err_is_ok(e)) {
        CHECK(found.choice != NULL);
        assert_string_equal(a->kind->platform, found.choice);
        CHECK(a->kind->trust != TRUST_SIMULATED);
        attester_free(a);
        return;
    }
    CHECK_ERR(e, CONFIG);
    CHECK(a == NULL);
    for (size_t i = 0; i < found.n; i++)
        CHECK(says(&message, found.findings[i].title));
    CHECK(says(&message, "platform: simulated"));
    CHECK(message.at[message.len - 1] != '\n');
}

/* Those that are not there; each word but the first and the last is hardware. */
static void a_platform_that_is_not_here_is_refused_by_its_name(void **state)
{
    (void)state;
    struct detect found;
    CHECK_OK(detect_look(NULL, &found));
    for (size_t i = 1; tee_words[i + 1] != NULL; i++) {
        const struct detect_finding *f = detect_find(&found, bytes_str(tee_words[i]));
        struct attester *a = NULL;
        BUF_AUTO message = BUF(CONFIG_MESSAGE_MAX);
        CHECK(f != NULL);
        if (f->state != DETECT_ABSENT)
            continue;
        CHECK_ERR(tee_open(&a, tee_words[i], "image", NULL, &message), CONFIG);
        CHECK(a == NULL && says(&message, tee_words[i]) && says(&message, "platform: simulated"));
    }
}

static void every_word_is_known(void **state)
{
    (void)state;
    struct attester *a = NULL;
    BUF_AUTO message = BUF(CONFIG_MESSAGE_MAX);
    assert_string_equal(tee_words[0], "auto");
    CHECK_ERR(tee_open(&a, "SIMULATED", "image", NULL, &message), CONFIG);
    CHECK(a == NULL);
}

static int start(void **state)
{
    (void)state;
    return err_is_ok(crypto_init()) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(simulated_is_opened_when_it_is_named),
        cmocka_unit_test(auto_takes_what_is_there_or_refuses_and_says_why),
        cmocka_unit_test(a_platform_that_is_not_here_is_refused_by_its_name),
        cmocka_unit_test(every_word_is_known),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
