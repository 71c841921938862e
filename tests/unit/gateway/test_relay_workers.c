#include "tests/unit/gateway/relay_stage.h"

static size_t choose_hint(struct stage *s, const char *hint)
{
    const struct relay_want want = { .hint = bytes_str(hint), .key_id = -1 };
    return relay_workers_choose(s->all, &want);
}

static size_t choose_id(struct stage *s, int id)
{
    const struct relay_want want = { .key_id = id };
    return relay_workers_choose(s->all, &want);
}

static void a_hint_or_an_id_finds_the_worker_that_published_it(void **state)
{
    (void)state;
    struct stage s;
    stage_up(&s);
    CHECK(relay_workers_count(s.all) == STAGE_WORKERS);
    for (size_t i = 0; i < STAGE_WORKERS; i++) {
        const struct key_config config = stage_key(&s.workers[i]);
        char hint[KEY_CONFIG_HINT_LEN + 1];
        CHECK_OK(key_config_hint(&config, hint));
        CHECK(choose_hint(&s, hint) == i && choose_id(&s, config.id) == i);
    }
    stage_down(&s);
}

static size_t choose_tag(struct stage *s, const char *tag, const char *hint)
{
    struct relay_want want = { .hint = bytes_str(hint), .key_id = -1 };
    CHECK_OK(worker_tag_read(bytes_str(tag), &want.tag));
    return relay_workers_choose(s->all, &want);
}

static size_t listed(struct stage *s)
{
    struct roster roster;
    relay_workers_roster(s->all, &roster);
    return roster.n;
}

static void a_tag_finds_its_worker_and_nobody_else(void **state)
{
    (void)state;
    struct stage s;
    char hint[KEY_CONFIG_HINT_LEN + 1];
    stage_up_as(&s, stage_tags);
    const struct key_config config = stage_key(&s.workers[1]);
    CHECK_OK(key_config_hint(&config, hint));
    for (size_t i = 0; i < STAGE_WORKERS; i++) {
        CHECK(choose_tag(&s, s.workers[i].tag, "") == i);
        CHECK(choose_tag(&s, s.workers[i].tag, hint) == i); /* a pool's share their keys */
    }
    CHECK(choose_tag(&s, "00000000000000ff", "") == SIZE_MAX);
    CHECK(choose_tag(&s, "00000000000000ff", "not a hint") == SIZE_MAX);
    CHECK(choose_tag(&s, "00000000000000ff", hint) ==
          SIZE_MAX); /* another would sign the receipt */
    stage_down(&s);
}

static bool one_down(struct stage *s)
{
    return relay_workers_up(s->all) == STAGE_WORKERS - 1;
}

static void those_are_listed_who_are_connected_and_have_a_tag(void **state)
{
    (void)state;
    struct stage s;
    stage_up_as(&s, stage_tags);
    CHECK(listed(&s) == STAGE_WORKERS);
    link_listener_free(s.workers[1].listener);
    s.workers[1].listener = NULL;
    stage_until(&s, one_down);
    CHECK(listed(&s) == STAGE_WORKERS - 1);
    CHECK(choose_tag(&s, s.workers[1].tag, "") == SIZE_MAX);
    stage_down(&s);
}

static void say_odd_things(struct stage *s)
{
    stage_tags(s);
    (void)snprintf(s->workers[1].tag, sizeof s->workers[1].tag, "%s", s->workers[0].tag);
    (void)snprintf(s->workers[2].tag, sizeof s->workers[2].tag, "no tag");
}

static void nobody_is_listed_twice_or_by_what_is_no_tag(void **state)
{
    (void)state;
    struct stage s;
    stage_up_as(&s, say_odd_things);
    CHECK(listed(&s) == 1);
    stage_down(&s);
    stage_up(&s);
    CHECK(listed(&s) == 0);
    stage_down(&s);
}

static bool asked_again(struct stage *s)
{
    size_t lists = 0;
    for (size_t i = 0; i < STAGE_WORKERS; i++)
        lists += s->workers[i].lists;
    return lists == (size_t)2 * STAGE_WORKERS;
}

static void a_key_nobody_published_makes_lists_be_read_anew(void **state)
{
    (void)state;
    struct stage s;
    stage_up(&s);
    s.workers[2].key_id = 77;
    CHECK(choose_id(&s, 77) < STAGE_WORKERS);
    CHECK(choose_id(&s, 77) < STAGE_WORKERS); /* does not ask a second time at once */
    stage_until(&s, asked_again);
    stage_turns(&s);
    CHECK(choose_id(&s, 77) == 2 && choose_id(&s, 12) != SIZE_MAX);
    CHECK(asked_again(&s));
    stage_down(&s);
}

static void the_same_is_chosen_for_the_same_connection(void **state)
{
    (void)state;
    struct stage s;
    bool seen[STAGE_WORKERS] = { false };
    stage_up(&s);
    for (uint64_t near = 0; near < 30; near++) {
        struct relay_want want = { .key_id = -1, .sticky = true, .near = near };
        size_t place = relay_workers_choose(s.all, &want);
        CHECK(place < STAGE_WORKERS && place == relay_workers_choose(s.all, &want));
        seen[place] = true;
        want.avoid = (uint64_t)1 << place;
        CHECK(relay_workers_choose(s.all, &want) != place);
    }
    CHECK(seen[0] && seen[1] && seen[2]);
    stage_down(&s);
}

static void one_that_is_gone_is_not_chosen_and_found_when_it_is_back(void **state)
{
    (void)state;
    struct stage s;
    stage_up(&s);
    link_listener_free(s.workers[1].listener);
    s.workers[1].listener = NULL;
    stage_until(&s, one_down);
    CHECK(choose_id(&s, 11) != 1);
    const struct relay_want none = { .key_id = -1, .avoid = 5 };
    CHECK(relay_workers_choose(s.all, &none) == SIZE_MAX);
    stage_listen(&s, 1);
    stage_until(&s, stage_all_up);
    stage_turns(&s);
    CHECK(choose_id(&s, 11) == 1);
    stage_down(&s);
}

static bool request_came(struct stage *s)
{
    return s->workers[1].requests == 1;
}

static void on_up_closed(struct relay_up *u, enum link_close why)
{
    (void)u;
    (void)why;
}

static bool first_is_alone(struct stage *s)
{
    return link_listener_links(s->workers[1].listener) == 0;
}

static void one_that_left_finishes_and_gets_nothing_new(void **state)
{
    (void)state;
    struct stage s;
    const struct relay_up_ops ops = { .closed = on_up_closed };
    struct relay_up up = { .ops = &ops };
    const struct link_request request = { .method = BYTES_LIT("POST"), .path = BYTES_LIT("/") };
    stage_up(&s);
    CHECK_OK(relay_workers_ask(s.all, 1, &request, &up));
    stage_until(&s, request_came);
    stage_use(&s, s.addresses, 1);
    stage_turns(&s);
    CHECK(relay_workers_count(s.all) == 1 && relay_workers_up(s.all) == 1);
    CHECK(choose_id(&s, 11) == 0 && choose_id(&s, 12) == 0);
    CHECK(link_listener_links(s.workers[1].listener) == 1); /* it has a request under way */
    CHECK(link_listener_links(s.workers[2].listener) == 0);
    link_stream_reset(up.stream, LINK_CANCEL);
    stage_until(&s, first_is_alone);
    stage_down(&s);
}

static void one_that_comes_back_while_it_leaves_gets_another_seat(void **state)
{
    (void)state;
    struct stage s;
    const struct relay_up_ops ops = { .closed = on_up_closed };
    struct relay_up up = { .ops = &ops };
    const struct link_request request = { .method = BYTES_LIT("POST"), .path = BYTES_LIT("/") };
    stage_up(&s);
    CHECK_OK(relay_workers_ask(s.all, 1, &request, &up));
    stage_until(&s, request_came);
    stage_use(&s, NULL, 0);
    CHECK(relay_workers_up(s.all) == 0 && choose_id(&s, 11) == SIZE_MAX);
    stage_use(&s, s.addresses, STAGE_WORKERS);
    stage_until(&s, stage_all_up);
    stage_turns(&s);
    CHECK(choose_id(&s, 10) == 0 && choose_id(&s, 11) == 2 && choose_id(&s, 12) == 3);
    CHECK(up.stream != NULL);
    link_stream_reset(up.stream, LINK_CANCEL);
    stage_down(&s);
}

static bool stream_is_over(struct stage *s)
{
    const struct relay_up *up = s->more;
    return up->stream == NULL;
}

static void one_that_fails_is_left_to_those_who_name_its_key(void **state)
{
    (void)state;
    struct stage s;
    const struct relay_up_ops ops = { .closed = on_up_closed };
    struct relay_up up = { .ops = &ops };
    const struct link_request request = { .method = BYTES_LIT("POST"), .path = BYTES_LIT("/") };
    const struct relay_want any = { .key_id = -1 };
    const struct relay_want near = { .key_id = -1, .sticky = true, .near = 1 };
    size_t got[STAGE_WORKERS] = { 0 };
    stage_up(&s);
    s.more = &up;
    for (int i = 0; i < 300; i++)
        got[relay_workers_choose(s.all, &any)]++;
    CHECK(got[0] > 50 && got[1] > 50 && got[2] > 50);
    CHECK(relay_workers_choose(s.all, &near) == 1);
    for (int i = 0; i < STAGE_FAILURES; i++) {
        s.workers[1].requests = 0;
        CHECK_OK(relay_workers_ask(s.all, 1, &request, &up));
        stage_until(&s, request_came);
        link_stream_reset(s.workers[1].stream, LINK_INTERNAL);
        stage_until(&s, stream_is_over);
    }
    for (int i = 0; i < 300; i++)
        CHECK(relay_workers_choose(s.all, &any) != 1);
    CHECK(relay_workers_choose(s.all, &near) == 2);
    CHECK(choose_id(&s, 11) == 1);
    stage_down(&s);
}

/* How often there was that change. */
static size_t told(const struct stage *s, size_t place, enum balance_state from,
                   enum balance_state to)
{
    size_t n = 0;
    for (size_t i = 0; i < s->changes_n; i++) {
        const struct balance_change *c = &s->changes[i];
        n += c->place == place && c->from == from && c->to == to;
    }
    return n;
}

static void what_is_thought_of_a_worker_is_told_once(void **state)
{
    (void)state;
    struct stage s;
    const struct relay_up_ops ops = { .closed = on_up_closed };
    struct relay_up up = { .ops = &ops };
    const struct link_request request = { .method = BYTES_LIT("POST"), .path = BYTES_LIT("/") };
    stage_up(&s);
    for (size_t i = 0; i < STAGE_WORKERS; i++)
        CHECK(told(&s, i, BALANCE_GONE, BALANCE_IN_USE) == 1);
    s.more = &up;
    for (int i = 0; i < STAGE_FAILURES; i++) {
        s.workers[1].requests = 0;
        CHECK_OK(relay_workers_ask(s.all, 1, &request, &up));
        stage_until(&s, request_came);
        CHECK(told(&s, 1, BALANCE_IN_USE, BALANCE_OPEN) == 0);
        link_stream_reset(s.workers[1].stream, LINK_INTERNAL);
        stage_until(&s, stream_is_over);
    }
    CHECK(told(&s, 1, BALANCE_IN_USE, BALANCE_OPEN) == 1);
    link_listener_free(s.workers[2].listener);
    s.workers[2].listener = NULL;
    stage_until(&s, one_down);
    CHECK(told(&s, 2, BALANCE_IN_USE, BALANCE_GONE) == 1);
    stage_use(&s, s.addresses, 1); /* who is not named any more has no number */
    CHECK(told(&s, SIZE_MAX, BALANCE_OPEN, BALANCE_GONE) == 1);
    CHECK(s.changes_n == STAGE_WORKERS + 3);
    stage_down(&s);
}

static void on_up_head(struct relay_up *u, unsigned status, const struct link_field *fields,
                       size_t n)
{
    (void)u;
    (void)fields;
    (void)n;
    CHECK(status == 500);
}

static void on_up_end(struct relay_up *u)
{
    (void)u;
}

/* As many as would put the worker out, with so many fields. */
static void answer_500(struct stage *s, const struct link_field *fields, size_t n)
{
    const struct relay_up_ops ops = { .head = on_up_head,
                                      .end = on_up_end,
                                      .closed = on_up_closed };
    struct relay_up up = { .ops = &ops };
    const struct link_request request = { .method = BYTES_LIT("POST"),
                                          .path = BYTES_LIT("/"),
                                          .end = true };
    s->more = &up;
    s->workers[1].knows = true;
    for (int i = 0; i < STAGE_FAILURES; i++) {
        s->workers[1].requests = 0;
        CHECK_OK(relay_workers_ask(s->all, 1, &request, &up));
        stage_until(s, request_came);
        CHECK_OK(link_respond(s->workers[1].stream, 500, fields, n, true));
        stage_until(s, stream_is_over);
    }
}

/* Which a client can ask for. */
static void an_error_of_its_engine_puts_no_worker_out(void **state)
{
    (void)state;
    struct stage s;
    const struct link_field id = { BYTES_LIT(FIELD_RECEIPT_ID), BYTES_LIT("ab") };
    const struct relay_want near = { .key_id = -1, .sticky = true, .near = 1 };
    stage_up(&s);
    answer_500(&s, &id, 1);
    CHECK(relay_workers_choose(s.all, &near) == 1);
    answer_500(&s, NULL, 0);
    CHECK(relay_workers_choose(s.all, &near) == 2);
    stage_down(&s);
}

/* The same workers as before. */
static void use_with(struct stage *s, const uint16_t *priorities, const uint16_t *weights)
{
    struct worker_wish wishes[STAGE_WORKERS];
    struct worker_change change;
    struct worker_set *set;
    for (size_t i = 0; i < STAGE_WORKERS; i++) {
        CHECK_OK(worker_wish_read(bytes_str(s->addresses[i]), &wishes[i]));
        wishes[i].priority = priorities[i];
        wishes[i].weight = weights[i];
    }
    CHECK_OK(worker_set_next(&set, s->set, wishes, STAGE_WORKERS, &change));
    relay_workers_use(s->all, set);
    worker_set_unref(set);
}

static void of_the_first_who_weighs_more_is_chosen_more(void **state)
{
    (void)state;
    struct stage s;
    const struct relay_want any = { .key_id = -1 };
    size_t got[STAGE_WORKERS] = { 0 };
    stage_up(&s);
    use_with(&s, (const uint16_t[]){ 0, 0, 0 }, (const uint16_t[]){ 0, 8, 2 });
    for (int i = 0; i < 1000; i++)
        got[relay_workers_choose(s.all, &any)]++;
    CHECK(got[0] < 50 && got[1] > 700 && got[2] > 100 && got[2] < 300);
    stage_use(&s, s.addresses, 1);
    use_with(&s, (const uint16_t[]){ 0, 0, 0 }, (const uint16_t[]){ 8, 0, 72 }); /* two join */
    stage_until(&s, stage_all_up);
    memset(got, 0, sizeof got);
    for (int i = 0; i < 1000; i++)
        got[relay_workers_choose(s.all, &any)]++;
    CHECK(got[0] > 50 && got[1] < 50 && got[2] > 800);
    stage_down(&s);
}

static void who_comes_first_is_chosen_while_it_is_there(void **state)
{
    (void)state;
    struct stage s;
    const struct relay_want any = { .key_id = -1 };
    stage_up(&s);
    use_with(&s, (const uint16_t[]){ 7, 3, 7 }, (const uint16_t[]){ 1, 1, 1 });
    for (int i = 0; i < 20; i++)
        CHECK(relay_workers_choose(s.all, &any) == 1);
    CHECK(choose_id(&s, 10) == 0); /* whose key it is comes before */
    link_listener_free(s.workers[1].listener);
    s.workers[1].listener = NULL;
    stage_until(&s, one_down);
    CHECK(relay_workers_choose(s.all, &any) != 1);
    stage_down(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hint_or_an_id_finds_the_worker_that_published_it),
        cmocka_unit_test(a_tag_finds_its_worker_and_nobody_else),
        cmocka_unit_test(those_are_listed_who_are_connected_and_have_a_tag),
        cmocka_unit_test(nobody_is_listed_twice_or_by_what_is_no_tag),
        cmocka_unit_test(a_key_nobody_published_makes_lists_be_read_anew),
        cmocka_unit_test(the_same_is_chosen_for_the_same_connection),
        cmocka_unit_test(one_that_is_gone_is_not_chosen_and_found_when_it_is_back),
        cmocka_unit_test(one_that_fails_is_left_to_those_who_name_its_key),
        cmocka_unit_test(what_is_thought_of_a_worker_is_told_once),
        cmocka_unit_test(an_error_of_its_engine_puts_no_worker_out),
        cmocka_unit_test(one_that_left_finishes_and_gets_nothing_new),
        cmocka_unit_test(who_comes_first_is_chosen_while_it_is_there),
        cmocka_unit_test(of_the_first_who_weighs_more_is_chosen_more),
        cmocka_unit_test(one_that_comes_back_while_it_leaves_gets_another_seat),
    };
    CHECK_OK(crypto_init());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
