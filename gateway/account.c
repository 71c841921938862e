#include "gateway/account.h"

#include <fcntl.h>
#include <unistd.h>

#include "gateway/metering.h"

enum { LOG_MODE = 0600 };

const char *const account_operation_words[ACCOUNT_OPERATIONS] = {
    [ACCOUNT_CHAT] = "chat",
    [ACCOUNT_TEXT_COMPLETION] = "text_completion",
    [ACCOUNT_EMBEDDINGS] = "embeddings",
};

const char *const account_end_words[ACCOUNT_ENDS] = {
    [ACCOUNT_WHOLE] = "",   [ACCOUNT_4XX] = "4xx",        [ACCOUNT_5XX] = "5xx",
    [ACCOUNT_GONE] = "499", [ACCOUNT_CUT] = "broken_off",
};

static const struct word OPERATIONS[ACCOUNT_OPERATIONS + 1] = {
    [ACCOUNT_CHAT] = WORD_INIT("chat"),
    [ACCOUNT_TEXT_COMPLETION] = WORD_INIT("text_completion"),
    [ACCOUNT_EMBEDDINGS] = WORD_INIT("embeddings"),
    [ACCOUNT_OPERATIONS] = WORD_INIT("other"),
};

enum account_operation account_operation(enum route_kind route)
{
    if (route == ROUTE_CHAT_COMPLETIONS || route == ROUTE_RESPONSES)
        return ACCOUNT_CHAT;
    if (route == ROUTE_COMPLETIONS)
        return ACCOUNT_TEXT_COMPLETION;
    return route == ROUTE_EMBEDDINGS ? ACCOUNT_EMBEDDINGS : ACCOUNT_OPERATIONS;
}

enum account_end account_end(const struct account_facts *facts)
{
    if (facts->cut)
        return ACCOUNT_CUT;
    if (facts->gone)
        return ACCOUNT_GONE;
    if (facts->status >= 500)
        return ACCOUNT_5XX;
    return facts->status >= 400 ? ACCOUNT_4XX : ACCOUNT_WHOLE;
}

static void count(const struct metering *m, struct metrics_block *block,
                  const struct account_facts *f)
{
    enum account_operation op = account_operation(f->route);
    if (op == ACCOUNT_OPERATIONS)
        return;
    metrics_observe_us(block, m->operation, op, account_end(f), f->us);
    if (f->first_us > 0)
        metrics_observe_us(block, m->first_chunk, op, 0, f->first_us);
    if (f->use.prompt_tokens + f->use.answer_tokens == 0)
        return;
    metrics_observe_us(block, m->tokens, op, METERING_INPUT, f->use.prompt_tokens);
    metrics_observe_us(block, m->tokens, op, METERING_OUTPUT, f->use.answer_tokens);
}

void account_note(struct log *usage, const struct metering *m, struct metrics_block *block,
                  const struct account_facts *f)
{
    struct log_id id = { 0 };
    struct log_id key = { 0 };
    count(m, block, f);
    if (usage == NULL)
        return;
    (void)log_id_set(&id, bytes_str(f->request_id));
    if (f->key != NULL)
        (void)log_id_set(&key, bytes_str(f->key));
    LOG_INFO(usage, "usage", F_ID("key", &key), F_ID("request", &id),
             F_WORD_OF("operation", OPERATIONS[account_operation(f->route)]),
             F_U64("status", f->gone ? 499 : f->status), F_BOOL("broken_off", f->cut),
             F_U64("input_tokens", f->use.prompt_tokens),
             F_U64("output_tokens", f->use.answer_tokens), F_BOOL("estimated", f->use.estimated),
             F_BOOL("background", f->background), F_U64("us", f->us));
}

static void add_text(struct otlp_span *s, const char *key, const char *text)
{
    s->attributes[s->attributes_n++] = (struct otlp_attribute){ key, text, 0 };
}

static void add_number(struct otlp_span *s, const char *key, uint64_t v)
{
    s->attributes[s->attributes_n++] = (struct otlp_attribute){ key, NULL, v };
}

void account_span(const struct account_facts *f, const struct trace *trace, const uint8_t *parent,
                  uint64_t now_ns, struct otlp_span *out)
{
    enum account_operation op = account_operation(f->route);
    enum account_end end = account_end(f);
    *out = (struct otlp_span){ .trace = *trace,
                               .name = OPERATIONS[op].text,
                               .kind = OTLP_SERVER,
                               .start_ns = now_ns - f->us * 1000,
                               .end_ns = now_ns,
                               .failed = end != ACCOUNT_WHOLE };
    memcpy(out->parent, parent, sizeof out->parent);
    add_text(out, "gen_ai.provider.name", "sealgate");
    add_text(out, "gen_ai.operation.name", OPERATIONS[op].text);
    add_text(out, ACCOUNT_REQUEST_ID, f->request_id);
    add_number(out, "http.response.status_code", f->gone ? 499 : f->status);
    add_number(out, "gen_ai.usage.input_tokens", f->use.prompt_tokens);
    add_number(out, "gen_ai.usage.output_tokens", f->use.answer_tokens);
    if (f->first_us > 0)
        add_number(out, "sealgate.time_to_first_chunk_us", f->first_us);
    if (end != ACCOUNT_WHOLE)
        add_text(out, "error.type", account_end_words[end]);
}

err account_log_open(struct log **out, int *fd, const char *path)
{
    int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, LOG_MODE);
    ENSURE(file >= 0, SYSTEM);
    err e = log_open(out, file, LOG_LEVEL_INFO);
    if (e.code != ERR_OK) {
        (void)close(file);
        return e;
    }
    *fd = file;
    return OK;
}
