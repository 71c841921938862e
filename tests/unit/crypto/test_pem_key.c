/* The key of RFC 8410 section 10.3, and the forms that openssl writes. */
#include "base/attr.h"
#include "crypto/init.h"
#include "crypto/pem_key.h"
#include "tests/lib/law.h"

#define PRIVATE                                                                                    \
    "-----BEGIN PRIVATE KEY-----\n"                                                                \
    "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"                           \
    "-----END PRIVATE KEY-----\n"
#define PUBLIC                                                                                     \
    "-----BEGIN PUBLIC KEY-----\n"                                                                 \
    "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"                               \
    "-----END PUBLIC KEY-----\n"

static void reads_the_key_of_the_standard(void **state)
{
    (void)state;
    struct signing_key *key = NULL;
    uint8_t pk[ED25519_PK_LEN];
    BUF_AUTO text = BUF(PEM_KEY_TEXT_MAX);
    CHECK_OK(pem_key_read(&key, BYTES_LIT(PRIVATE)));
    CHECK_OK(pem_public_read(pk, BYTES_LIT(PUBLIC)));
    CHECK_BYTES(BYTES_ARRAY(pk), bytes_of(signing_key_public(key), ED25519_PK_LEN));
    CHECK_OK(pem_public_write(&text, pk));
    CHECK_BYTES(buf_view(&text), BYTES_LIT(PUBLIC));
    signing_key_free(key);
}

static void a_new_key_is_read_back_and_is_not_made_twice(void **state)
{
    (void)state;
    struct signing_key *made[2] = { NULL }, *read = NULL;
    BUF_AUTO text = BUF(PEM_KEY_TEXT_MAX);
    BUF_AUTO other = BUF(PEM_KEY_TEXT_MAX);
    CHECK_OK(pem_key_make(&made[0], &text));
    CHECK_OK(pem_key_make(&made[1], &other));
    CHECK(!bytes_equal(buf_view(&text), buf_view(&other)));
    CHECK_OK(pem_key_read(&read, buf_view(&text)));
    CHECK_BYTES(bytes_of(signing_key_public(read), ED25519_PK_LEN),
                bytes_of(signing_key_public(made[0]), ED25519_PK_LEN));
    signing_key_free(read);
    signing_key_free(made[0]);
    signing_key_free(made[1]);
}

static void any_other_text_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "-----BEGIN PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
        "\n" PRIVATE,
        PRIVATE "\n",
        PUBLIC,
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VuBCIEINTuctv5E1hK1bbY8fdp+K06/"
        "nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06\n"
        "-----END PRIVATE KEY-----\n",
    };
    struct signing_key *key = NULL;
    uint8_t pk[ED25519_PK_LEN];
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_ERR(pem_key_read(&key, bytes_str(bad[i])), MALFORMED);
        CHECK(key == NULL);
    }
    CHECK_ERR(pem_public_read(pk, BYTES_LIT(PRIVATE)), MALFORMED);
    CHECK_ERR(pem_public_read(pk, BYTES_LIT(PUBLIC PUBLIC)), MALFORMED);
    for (size_t n = 0; n < sizeof PRIVATE - 1; n++)
        CHECK_ERR(pem_key_read(&key, bytes_of(PRIVATE, n)), MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_key_of_the_standard),
        cmocka_unit_test(a_new_key_is_read_back_and_is_not_made_twice),
        cmocka_unit_test(any_other_text_is_refused),
    };
    return err_is_ok(crypto_init()) ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
