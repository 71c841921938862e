#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attest/tsm.h"
#include "base/mem.h"
#include "crypto/init.h"
#include "tests/lib/law.h"

/* A kernel: one directory with its attributes, and the faults it is told to have. */
struct kernel {
    struct tsm_tree tree;
    const char *provider;
    uint64_t generation;
    uint8_t inblob[TSM_INBLOB_LEN];
    char privlevel[16];
    unsigned made, removed, waits, waited_ms;
    int make_error;
    int outblob_error; /* for as many reads as `busy` says */
    unsigned busy;
    unsigned races; /* so many times somebody else writes as well */
    const char *auxblob;
    int auxblob_error;
};

static struct kernel *kernel_of(const struct tsm_tree *t)
{
    return CONTAINER_OF(t, struct kernel, tree);
}

static int kernel_make(const struct tsm_tree *t, const char *name)
{
    struct kernel *k = kernel_of(t);
    CHECK(strncmp(name, "sealgate-", 9) == 0 && strlen(name) == 25);
    if (k->make_error == 0)
        k->made++;
    return k->make_error;
}

static void kernel_remove(const struct tsm_tree *t, const char *name)
{
    (void)name;
    kernel_of(t)->removed++;
}

static void kernel_wait(const struct tsm_tree *t, unsigned ms)
{
    kernel_of(t)->waits++;
    kernel_of(t)->waited_ms += ms;
}

static int kernel_write(const struct tsm_tree *t, const char *name, const char *attribute,
                        bytes value)
{
    struct kernel *k = kernel_of(t);
    (void)name;
    k->generation++;
    if (strcmp(attribute, "privlevel") == 0) {
        (void)snprintf(k->privlevel, sizeof k->privlevel, "%.*s", (int)value.len,
                       (const char *)value.at);
        return 0;
    }
    CHECK(strcmp(attribute, "inblob") == 0 && value.len == TSM_INBLOB_LEN);
    memcpy(k->inblob, value.at, value.len);
    return 0;
}

static int kernel_outblob(struct kernel *k, struct buf *out)
{
    if (k->busy > 0) {
        k->busy--;
        return k->outblob_error;
    }
    if (k->races > 0) {
        k->races--;
        k->generation++;
    }
    if (!err_is_ok(buf_add_str(out, "report of ")))
        return ENOMEM;
    return err_is_ok(buf_add(out, BYTES_ARRAY(k->inblob))) ? 0 : ENOMEM;
}

static int kernel_read(const struct tsm_tree *t, const char *name, const char *attribute,
                       struct buf *out)
{
    struct kernel *k = kernel_of(t);
    (void)name;
    if (strcmp(attribute, "outblob") == 0)
        return kernel_outblob(k, out);
    if (strcmp(attribute, "auxblob") == 0 && k->auxblob_error != 0)
        return k->auxblob_error;
    char number[24];
    (void)snprintf(number, sizeof number, "%llu\n", (unsigned long long)k->generation);
    const char *text = strcmp(attribute, "provider") == 0  ? k->provider
                       : strcmp(attribute, "auxblob") == 0 ? k->auxblob
                                                           : number;
    return err_is_ok(buf_add_str(out, text)) ? 0 : ENOMEM;
}

static struct kernel kernel(void)
{
    return (struct kernel){ .tree = { kernel_make, kernel_write, kernel_read, kernel_remove,
                                      kernel_wait, NULL },
                            .provider = "tdx_guest\n",
                            .generation = 7,
                            .auxblob = "certificates" };
}

static uint8_t data[TSM_INBLOB_LEN] = { 1, 2, 3 };

static err ask(struct kernel *k, struct buf *out, struct buf *aux)
{
    struct tsm_ask a = { .provider = "tdx_guest",
                         .inblob = data,
                         .privlevel = TSM_PRIVLEVEL_NONE,
                         .want_auxblob = aux != NULL };
    err e = tsm_report(&k->tree, &a, out, aux);
    CHECK(k->removed == k->made);
    return e;
}

static void a_report_is_made_in_a_directory_of_its_own(void **state)
{
    (void)state;
    struct kernel k = kernel();
    BUF_AUTO out = BUF(TSM_OUTBLOB_MAX);
    BUF_AUTO aux = BUF(TSM_AUXBLOB_MAX);
    CHECK_OK(ask(&k, &out, &aux));
    CHECK(k.made == 1 && k.waits == 0 && out.len == 10 + TSM_INBLOB_LEN);
    CHECK_BYTES(bytes_slice(buf_view(&out), 10, out.len), BYTES_ARRAY(data));
    CHECK_BYTES(buf_view(&aux), BYTES_LIT("certificates"));
}

static void a_write_of_somebody_else_is_noticed_and_tried_again(void **state)
{
    (void)state;
    struct kernel k = kernel();
    BUF_AUTO out = BUF(TSM_OUTBLOB_MAX);
    k.races = 2;
    CHECK_OK(ask(&k, &out, NULL));
    CHECK(k.waits == 2 && out.len == 10 + TSM_INBLOB_LEN);
    k = kernel();
    k.races = 100;
    buf_truncate(&out, 0);
    CHECK_ERR(ask(&k, &out, NULL), UNAVAILABLE);
    CHECK(out.len == 0);
}

static void a_busy_service_is_waited_for_with_growing_patience(void **state)
{
    (void)state;
    static const int codes[] = { EBUSY, ETIMEDOUT, EAGAIN, EINTR };
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        struct kernel k = kernel();
        BUF_AUTO out = BUF(TSM_OUTBLOB_MAX);
        k.outblob_error = codes[i];
        k.busy = 3;
        CHECK_OK(ask(&k, &out, NULL));
        CHECK(k.waits == 3 && k.waited_ms == TSM_WAIT_MS_DEFAULT * (1 + 2 + 4));
    }
}

static void what_stays_busy_is_given_up(void **state)
{
    (void)state;
    struct kernel k = kernel();
    BUF_AUTO out = BUF(TSM_OUTBLOB_MAX);
    k.outblob_error = EBUSY;
    k.busy = 1000;
    CHECK_ERR(ask(&k, &out, NULL), UNAVAILABLE);
    CHECK(k.waits == TSM_TRIES_DEFAULT && out.len == 0);
}

static void other_refusals_of_the_kernel_are_not_tried_again(void **state)
{
    (void)state;
    struct kernel k = kernel();
    BUF_AUTO out = BUF(TSM_OUTBLOB_MAX);
    k.outblob_error = EINVAL;
    k.busy = 1;
    CHECK_ERR(ask(&k, &out, NULL), SYSTEM);
    CHECK(k.waits == 0);
    k = kernel();
    k.make_error = ENOENT;
    CHECK_ERR(ask(&k, &out, NULL), UNAVAILABLE);
    k.make_error = EEXIST;
    CHECK_ERR(ask(&k, &out, NULL), SYSTEM);
}

static void another_provider_is_refused_before_anything_is_written(void **state)
{
    (void)state;
    struct kernel k = kernel();
    BUF_AUTO out = BUF(TSM_OUTBLOB_MAX);
    k.provider = "sev_guest\n";
    CHECK_ERR(ask(&k, &out, NULL), UNSUPPORTED);
    CHECK(k.generation == 7);
}

static void a_privilege_level_counts_as_a_write_of_ours(void **state)
{
    (void)state;
    struct kernel k = kernel();
    BUF_AUTO out = BUF(TSM_OUTBLOB_MAX);
    struct tsm_ask a = { .provider = "tdx_guest", .inblob = data, .privlevel = 2 };
    CHECK_OK(tsm_report(&k.tree, &a, &out, NULL));
    assert_string_equal(k.privlevel, "2");
    CHECK(k.generation == 9);
}

static void a_kernel_without_auxblob_has_an_empty_one(void **state)
{
    (void)state;
    struct kernel k = kernel();
    BUF_AUTO out = BUF(TSM_OUTBLOB_MAX);
    BUF_AUTO aux = BUF(TSM_AUXBLOB_MAX);
    k.auxblob_error = ENOENT;
    CHECK_OK(ask(&k, &out, &aux));
    CHECK(aux.len == 0 && out.len > 0);
    k.auxblob_error = EIO;
    CHECK_ERR(ask(&k, &out, &aux), SYSTEM);
}

static void a_report_at_the_limit_is_taken_and_one_above_is_not(void **state)
{
    (void)state;
    struct kernel k = kernel();
    BUF_AUTO fits = BUF(10 + TSM_INBLOB_LEN);
    BUF_AUTO small = BUF(10 + TSM_INBLOB_LEN - 1);
    CHECK_OK(ask(&k, &fits, NULL));
    CHECK(!err_is_ok(ask(&k, &small, NULL)));
}

/* --- a tree of plain files ------------------------------------------------------------------- */

static void put(const char *folder, const char *name, const char *text)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    CHECK(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
}

/* The kernel fills a directory as it is made. */
static int make_filled(const struct tsm_tree *t, const char *name)
{
    char folder[400];
    int e = tsm_files(t->base).make(t, name);
    (void)snprintf(folder, sizeof folder, "%s/%s", t->base, name);
    if (e == 0) {
        put(folder, "provider", "sev_guest\n");
        put(folder, "generation", "0\n");
        put(folder, "inblob", "");
        put(folder, "outblob", "a report");
    }
    return e;
}

/* Plain files do not count writes, so the counter is turned by hand. */
static int write_counted(const struct tsm_tree *t, const char *name, const char *attribute,
                         bytes value)
{
    char folder[400];
    (void)snprintf(folder, sizeof folder, "%s/%s", t->base, name);
    put(folder, "generation", "1\n");
    return tsm_files(t->base).write(t, name, attribute, value);
}

static void remove_filled(const struct tsm_tree *t, const char *name)
{
    static const char *const names[] = { "provider", "generation", "inblob", "outblob" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[512];
        (void)snprintf(path, sizeof path, "%s/%s/%s", t->base, name, names[i]);
        CHECK(unlink(path) == 0);
    }
    tsm_files(t->base).remove(t, name);
}

static void the_systems_files_are_read_and_written(void **state)
{
    (void)state;
    char base[] = "/tmp/tsm-XXXXXX";
    CHECK(mkdtemp(base) != NULL && tsm_present(base));
    struct tsm_tree t = tsm_files(base);
    t.make = make_filled;
    t.write = write_counted;
    t.remove = remove_filled;
    BUF_AUTO out = BUF(TSM_OUTBLOB_MAX);
    BUF_AUTO aux = BUF(TSM_AUXBLOB_MAX);
    struct tsm_ask a = { .provider = "sev_guest",
                         .inblob = data,
                         .privlevel = TSM_PRIVLEVEL_NONE,
                         .want_auxblob = true };
    CHECK_OK(tsm_report(&t, &a, &out, &aux));
    CHECK_BYTES(buf_view(&out), BYTES_LIT("a report"));
    CHECK(aux.len == 0);
    CHECK(rmdir(base) == 0); /* nothing is left in it */
    CHECK(!tsm_present(base));
    CHECK_ERR(tsm_report(&t, &a, &out, &aux), UNAVAILABLE);
}

struct memory_run {
    struct kernel kernel;
};

static err run_once(void *arg)
{
    struct memory_run *r = arg;
    BUF_AUTO out = BUF(TSM_OUTBLOB_MAX);
    r->kernel = kernel();
    return ask(&r->kernel, &out, NULL);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct memory_run r;
    law_every_allocation_fails_once(run_once, &r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_is_made_in_a_directory_of_its_own),
        cmocka_unit_test(a_write_of_somebody_else_is_noticed_and_tried_again),
        cmocka_unit_test(a_busy_service_is_waited_for_with_growing_patience),
        cmocka_unit_test(what_stays_busy_is_given_up),
        cmocka_unit_test(other_refusals_of_the_kernel_are_not_tried_again),
        cmocka_unit_test(another_provider_is_refused_before_anything_is_written),
        cmocka_unit_test(a_privilege_level_counts_as_a_write_of_ours),
        cmocka_unit_test(a_kernel_without_auxblob_has_an_empty_one),
        cmocka_unit_test(a_report_at_the_limit_is_taken_and_one_above_is_not),
        cmocka_unit_test(the_systems_files_are_read_and_written),
        cmocka_unit_test(every_allocation_may_fail),
    };
    if (!err_is_ok(crypto_init()))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
