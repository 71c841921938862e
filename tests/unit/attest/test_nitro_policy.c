#include "attest/nitro_policy.h"
#include "base/text.h"
#include "tests/lib/law.h"

#define HEX32 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define HEAD                                                                                       \
    "platforms: [nitro]\nmeasurements: { pcr0: [" HEX32 "00112233445566778899aabbccddeeff] }\n"

static err read_policy(struct policy **out, const char *section, struct buf *message)
{
    BUF_AUTO yaml = BUF(16 * 1024);
    CHECK_OK(buf_addf(&yaml, "%s%s", HEAD, section));
    return policy_read(out, buf_view(&yaml), "p", message);
}

static void only_the_vendors_root_is_pinned_without_a_section(void **state)
{
    (void)state;
    struct policy *p;
    BUF_AUTO text = BUF(16 * 1024);
    CHECK_OK(read_policy(&p, "", NULL));
    CHECK(p->nitro == NULL);
    CHECK_OK(policy_explain(p, &text));
    CHECK(text_find(buf_view(&text), BYTES_LIT("EXTRA ROOT")) == text.len);
    policy_free(p);
}

static void extra_roots_are_read_and_said_loudly(void **state)
{
    (void)state;
    struct policy *p;
    BUF_AUTO text = BUF(16 * 1024);
    CHECK_OK(read_policy(&p, "nitro: { extra_roots: [" HEX32 "] }\n", NULL));
    CHECK(p->nitro->extra_roots.n == 1);
    CHECK_OK(policy_explain(p, &text));
    CHECK(text_find(buf_view(&text), BYTES_LIT("EXTRA ROOT are accepted: " HEX32)) < text.len);
    policy_free(p);
}

static void refuses(const char *section)
{
    struct policy *p = NULL;
    BUF_AUTO message = BUF(4096);
    CHECK_ERR(read_policy(&p, section, &message), CONFIG);
    CHECK(p == NULL && bytes_starts(buf_view(&message), BYTES_LIT("p:3: ")));
}

static void anything_else_is_refused_with_its_line(void **state)
{
    (void)state;
    refuses("nitro: { allow_debug: true }\n");
    refuses("nitro: { extra_roots: [] }\n");
    refuses("nitro: { extra_roots: [00] }\n");
    refuses("nitro: yes\n");
}

static void the_limit_is_taken_and_one_more_is_refused(void **state)
{
    (void)state;
    struct policy *p;
    BUF_AUTO section = BUF(16 * 1024);
    CHECK_OK(buf_add_str(&section, "nitro: { extra_roots: ["));
    for (size_t i = 0; i < NITRO_EXTRA_ROOTS_MAX; i++)
        CHECK_OK(buf_add_str(&section, i == 0 ? HEX32 : ", " HEX32));
    size_t len = section.len;
    CHECK_OK(buf_add_str(&section, "] }\n"));
    CHECK_OK(read_policy(&p, buf_str(&section), NULL));
    CHECK(p->nitro->extra_roots.n == NITRO_EXTRA_ROOTS_MAX);
    policy_free(p);
    buf_truncate(&section, len);
    CHECK_OK(buf_add_str(&section, ", " HEX32 "] }\n"));
    refuses(buf_str(&section));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_vendors_root_is_pinned_without_a_section),
        cmocka_unit_test(extra_roots_are_read_and_said_loudly),
        cmocka_unit_test(anything_else_is_refused_with_its_line),
        cmocka_unit_test(the_limit_is_taken_and_one_more_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
