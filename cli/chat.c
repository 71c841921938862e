/* cli/chat.c - `sealgate chat`: one question through a gateway, streamed to the terminal. */
#include <stdio.h>

#include "api/sse.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/fetch.h"

enum { DEPTH_MAX = 32, ANSWER_MAX = 1024 * 1024, QUESTION_MAX = 1024 * 1024 };

struct chat_options {
    const char *gateway;
    const char *ca;
    const char *model;
    const char *token_file;
};

#define ROW(field) .name = #field, .offset = offsetof(struct chat_options, field)

static const struct config_row ROWS[] = {
    { .group = "Flags",
      ROW(gateway),
      .type = CONFIG_TEXT,
      .fallback = "http://127.0.0.1:8080",
      .value = "URL",
      .help = "The gateway to ask." },
    { ROW(model), .type = CONFIG_TEXT, .fallback = "demo", .help = "The model to ask." },
    { ROW(ca), .type = CONFIG_PATH,
      .help = "Roots (PEM) for an https:// gateway; without it the system's." },
    { ROW(token_file), .type = CONFIG_PATH, .help = "File with a bearer token for the gateway." },
};

static const struct config_program PROGRAM = {
    .name = "sealgate chat",
    .summary = "Asks one question and prints the answer as it comes, then its receipt id.",
    .arguments = "QUESTION",
    .env_prefix = "SEALGATE_CHAT_",
    .rows = ROWS,
    .rows_n = ARRAY_LEN(ROWS),
};

struct chat {
    struct sse sse;
    struct buf other; /* an answer that is no stream: an error */
    struct buf error; /* what a stream says of its failure */
    bool begun;
    bool streams;
    bool done;
    char id[129]; /* of the completion */
};

static err note_error(struct chat *c, const struct json *error)
{
    bytes message = BYTES_LIT("it says no more");
    if (error == NULL || c->error.len > 0)
        return OK;
    (void)json_text(json_get(error, "message"), &message);
    return buf_add(&c->error, message);
}

static void print(const struct json *text)
{
    bytes v;
    if (json_text(text, &v))
        (void)fwrite(v.at, 1, v.len, stdout);
    (void)fflush(stdout);
}

static void note_id(struct chat *c, const struct json *root)
{
    bytes id;
    if (c->id[0] != 0 || !json_text(json_get(root, "id"), &id) || id.len >= sizeof c->id)
        return;
    memcpy(c->id, id.at, id.len);
}

static err on_event(void *owner, const struct sse_event *event)
{
    struct chat *c = owner;
    struct json *root = NULL;
    if (event->flags & SSE_DONE)
        c->done = true;
    if (event->flags & (SSE_DONE | SSE_COMMENT))
        return OK;
    TRY(json_read(&root, event->data, DEPTH_MAX));
    note_id(c, root);
    print(json_get(json_get(json_at(json_get(root, "choices"), 0), "delta"), "content"));
    err e = note_error(c, json_get(root, "error"));
    json_free(root);
    return e;
}

static bool on_piece(void *owner, bytes in)
{
    struct chat *c = owner;
    if (!c->begun && in.len > 0) {
        c->begun = true;
        c->streams = in.at[0] != '{';
    }
    if (c->streams)
        return sse_put(&c->sse, in).code == ERR_OK;
    return buf_add(&c->other, in).code == ERR_OK;
}

static err write_question(struct buf *body, const char *model, const char *question)
{
    struct json_out j = JSON_OUT(body);
    json_begin_object(&j, NULL);
    json_put_str(&j, "model", model);
    json_put_bool(&j, "stream", true);
    json_begin_array(&j, "messages");
    json_begin_object(&j, NULL);
    json_put_str(&j, "role", "user");
    json_put_str(&j, "content", question);
    json_close(&j);
    json_close(&j);
    json_close(&j);
    return json_end(&j);
}

static enum cli_exit say_refusal(struct chat *c)
{
    struct json *root = NULL;
    bytes text = BYTES_LIT("the answer is neither a stream nor an error of a gateway");
    if (json_read(&root, buf_view(&c->other), DEPTH_MAX).code == ERR_OK)
        (void)json_text(json_get(json_get(root, "error"), "message"), &text);
    (void)cli_complain("%.*s", (int)text.len, (const char *)text.at);
    json_free(root);
    return CLI_NOT_DECIDED;
}

static enum cli_exit finish(struct chat *c, const struct chat_options *o, bool broken)
{
    if (c->other.len > 0)
        return say_refusal(c);
    (void)puts("");
    (void)fflush(stdout);
    if (c->error.len > 0)
        return cli_complain("the answer broke off: %s", buf_str(&c->error));
    if (broken || !c->done)
        return cli_complain("the answer broke off; it is not complete");
    (void)fprintf(stderr, "\nreceipt: sealgate verify --gateway %s%s%s%s%s %s\n", o->gateway,
                  o->token_file != NULL ? " --token-file " : "",
                  o->token_file != NULL ? o->token_file : "", o->ca != NULL ? " --ca " : "",
                  o->ca != NULL ? o->ca : "", c->id);
    return CLI_OK;
}

static enum cli_exit ask(struct chat *c, const struct chat_options *o, const char *question)
{
    BUF_AUTO url = BUF(4096);
    BUF_AUTO body = BUF(QUESTION_MAX);
    BUF_AUTO token = BUF(4096);
    BUF_AUTO message = BUF(1024);
    long status = 0;
    err e = o->token_file != NULL ? file_read_line(&token, o->token_file) : OK;
    if (e.code != ERR_OK)
        return cli_complain("%s %s", o->token_file, file_trouble(e));
    if (buf_addf(&url, "%s/v1/chat/completions", o->gateway).code != ERR_OK ||
        write_question(&body, o->model, question).code != ERR_OK)
        return cli_complain("the question is too long");
    const struct fetch f = { .url = buf_str(&url),
                             .ca_path = o->ca,
                             .token = token.len > 0 ? buf_str(&token) : NULL,
                             .body = buf_view(&body),
                             .piece = on_piece,
                             .owner = c };
    e = fetch_run(&f, &status, &message);
    if (e.code == ERR_UNAVAILABLE)
        return cli_complain("%s: %s; does a gateway listen there? `sealgate up` starts one",
                            o->gateway, buf_str(&message));
    return finish(c, o, e.code != ERR_OK);
}

enum cli_exit cli_chat(int argc, char **argv)
{
    struct config config = { 0 };
    struct chat_options options = { 0 };
    struct chat c = { .other = BUF(ANSWER_MAX), .error = BUF(ANSWER_MAX) };
    enum cli_exit exit;
    sse_init(&c.sse, false, on_event, &c);
    if (cli_load(&config, &PROGRAM, &options, argc, argv, &exit))
        exit = config.arguments_n == 1
                   ? ask(&c, &options, config.arguments[0])
                   : cli_complain(
                         "ask one question, in quotes: sealgate chat \"What is a "
                         "receipt?\"");
    sse_clear(&c.sse);
    buf_clear(&c.other);
    buf_clear(&c.error);
    config_clear(&config);
    return exit;
}
