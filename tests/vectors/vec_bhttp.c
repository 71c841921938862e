/* Runs bhttp-cases-1: every case whole, a byte at a time and at every split; valid ones are also
 * written again. */
#include <string.h>

#include "tests/lib/bhttp_tape.h"
#include "tests/vectors/vec.h"

enum { BODY_MAX = 1 << 24 };

/* The expected message in the form of a tape. */
static void expect_fields(struct buf *to, const json_t *fields)
{
    for (size_t i = 0; i < json_array_size(fields); i++) {
        const json_t *pair = json_array_get(fields, i);
        const char *name = json_string_value(json_array_get(pair, 0));
        const char *value = json_string_value(json_array_get(pair, 1));
        (void)buf_addf(to, "%s=%s\n", name ? name : "?", value ? value : "?");
    }
}

static void expect_text(struct buf *to, const json_t *message)
{
    const json_t *early = json_object_get(message, "informational");
    for (size_t i = 0; i < json_array_size(early); i++) {
        const json_t *one = json_array_get(early, i);
        (void)buf_addf(to, "%d\n", (int)json_integer_value(json_object_get(one, "status")));
        expect_fields(to, json_object_get(one, "headers"));
    }
    if (strcmp(vec_text(message, "kind"), "request") == 0)
        (void)buf_addf(to, "%s|%s|%s|%s|\n", vec_text(message, "method"),
                       vec_text(message, "scheme"), vec_text(message, "authority"),
                       vec_text(message, "path"));
    else
        (void)buf_addf(to, "%d\n", (int)json_integer_value(json_object_get(message, "status")));
    expect_fields(to, json_object_get(message, "headers"));
    (void)buf_addf(to, "--\n");
    expect_fields(to, json_object_get(message, "trailers"));
}

static bool is_known_length(const json_t *message)
{
    return json_integer_value(json_object_get(message, "framing_indicator")) < 2;
}

static void check_tape(struct vec *v, const struct bhttp_tape *t, const json_t *message)
{
    BUF_AUTO want = BUF(BODY_MAX);
    expect_text(&want, message);
    vec_same(v, buf_view(&t->text), buf_view(&want), "the message");
    vec_same(v, buf_view(&t->content), vec_hex(v, message, "content_hex"), "the content");
    if (t->known != is_known_length(message))
        vec_fail(v, "the framing differs");
    if (t->known && t->content_len != t->content.len)
        vec_fail(v, "the content length differs");
}

/* Every way of feeding gives what the first one gave. */
static void check_splits(struct vec *v, bytes in, bool request, err want,
                         const struct bhttp_tape *tape)
{
    for (size_t first = 0; first < in.len; first++) {
        TAPE_AUTO t = { 0 };
        err e = tape_read(&t, in, request, first == 0 ? 1 : in.len, first);
        if (e.code != want.code)
            vec_fail(v, "%s when cut at %zu, %s else", err_word(e), first, err_word(want));
        vec_same(v, buf_view(&t.text), buf_view(&tape->text), "what was told of a cut message");
        vec_same(v, buf_view(&t.content), buf_view(&tape->content), "content of a cut message");
    }
}

static size_t collect(const json_t *fields, struct bhttp_field *out)
{
    size_t n = json_array_size(fields);
    for (size_t i = 0; i < n && i < BHTTP_FIELDS_MAX; i++) {
        const json_t *pair = json_array_get(fields, i);
        out[i].name = bytes_str(json_string_value(json_array_get(pair, 0)));
        out[i].value = bytes_str(json_string_value(json_array_get(pair, 1)));
    }
    return n;
}

static err write_content(struct buf *out, const json_t *message, bytes content)
{
    const json_t *chunks = json_object_get(message, "content_chunk_lengths");
    if (is_known_length(message))
        return bhttp_write_content(out, content);
    for (size_t i = 0; i < json_array_size(chunks); i++) {
        bytes piece = { 0 };
        size_t n = (size_t)json_integer_value(json_array_get(chunks, i));
        ENSURE(bytes_take(&content, n, &piece), MALFORMED);
        TRY(bhttp_write_chunk(out, piece));
    }
    return bhttp_write_content_end(out);
}

static err write_again(struct buf *out, const json_t *message, bytes content)
{
    struct bhttp_field fields[BHTTP_FIELDS_MAX];
    bool known = is_known_length(message);
    struct bhttp_head head = {
        .method = bytes_str(vec_text(message, "method")),
        .scheme = bytes_str(vec_text(message, "scheme")),
        .authority = bytes_str(vec_text(message, "authority")),
        .path = bytes_str(vec_text(message, "path")),
        .status = (unsigned)json_integer_value(json_object_get(message, "status")),
        .fields = fields,
        .fields_n = collect(json_object_get(message, "headers"), fields),
    };
    if (strcmp(vec_text(message, "kind"), "request") == 0)
        TRY(bhttp_write_request_head(out, &head, known));
    else
        TRY(bhttp_write_response_head(out, &head, known));
    TRY(write_content(out, message, content));
    size_t n = collect(json_object_get(message, "trailers"), fields);
    TRY(bhttp_write_trailers(out, fields, n, known));
    return buf_add_zeros(out, (size_t)json_integer_value(json_object_get(message, "padding")));
}

/* Exactly the same bytes, but for what the message leaves out at its end. A message that is longer
 * than ours has integers that are not minimal: then it reads the same. */
static void check_writing(struct vec *v, bytes in, const json_t *message, bool request)
{
    if (vec_has(message, "informational"))
        return; /* never written */
    BUF_AUTO out = BUF(BODY_MAX);
    TAPE_AUTO t = { 0 };
    vec_ok(v, write_again(&out, message, vec_hex(v, message, "content_hex")), "writing");
    vec_ok(v, tape_read(&t, buf_view(&out), request, out.len, 0), "reading what was written");
    check_tape(v, &t, message);
    bool cut = vec_has(message, "omitted_from");
    if (in.len > out.len)
        return;
    vec_same(v, cut ? bytes_slice(buf_view(&out), 0, in.len) : buf_view(&out), in,
             "what is written");
}

static void check_accepted(struct vec *v, const json_t *c, bytes in, bool must)
{
    const json_t *message = json_object_get(c, "message");
    bool request = strcmp(vec_text(message, "kind"), "request") == 0;
    TAPE_AUTO t = { 0 };
    err e = tape_read(&t, in, request, in.len, 0);
    check_splits(v, in, request, e, &t);
    if (e.code != ERR_OK) {
        if (must)
            vec_fail(v, "refused: %s", err_word(e));
        return;
    }
    const json_t *chunks = json_object_get(message, "content_chunk_lengths");
    if (chunks != NULL && t.pieces != json_array_size(chunks))
        vec_fail(v, "%zu pieces of content", t.pieces);
    check_tape(v, &t, message);
    check_writing(v, in, message, request);
}

/* Read as a request and as a response: refused as both, unless it may be accepted. */
static void check_refused(struct vec *v, bytes in, bool must)
{
    for (int request = 0; request < 2; request++) {
        TAPE_AUTO t = { 0 };
        err e = tape_read(&t, in, request, in.len, 0);
        if (e.code == ERR_OK && !must)
            continue;
        if (e.code == ERR_OK)
            vec_fail(v, "accepted");
        if (e.code != ERR_MALFORMED && e.code != ERR_TRUNCATED && e.code != ERR_LIMIT)
            vec_fail(v, "%s instead of a refusal", err_word(e));
        check_splits(v, in, request, e, &t);
    }
}

static void run_case(struct vec *v, const json_t *c)
{
    const char *result = vec_text(c, "result");
    vec_begin(v, "%s", vec_text(c, "name"));
    bytes in = vec_hex(v, c, "hex");
    if (strcmp(result, "valid") == 0)
        check_accepted(v, c, in, true);
    else if (strcmp(result, "invalid") == 0)
        check_refused(v, in, true);
    else if (strcmp(result, "acceptable") != 0)
        vec_fail(v, "unknown result %s", result);
    else if (vec_has(c, "message"))
        check_accepted(v, c, in, false);
    else
        check_refused(v, in, false);
    vec_end(v);
}

static bool run_file(struct vec *v, const json_t *root)
{
    if (strcmp(vec_text(root, "format"), "bhttp-cases-1") != 0)
        return false;
    const json_t *cases = json_object_get(root, "cases");
    for (size_t i = 0; i < json_array_size(cases); i++)
        run_case(v, json_array_get(cases, i));
    return true;
}

int main(int argc, char **argv)
{
    return vec_main(argc, argv, run_file);
}
