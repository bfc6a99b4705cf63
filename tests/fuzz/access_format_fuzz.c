/* access_format_fuzz.c: whatever format compiles prints one line of a record whose texts are as awkward as can be: in
 * text no byte of them ends it, and in JSON none gets out of its string. The input is the format. */
#include "base/rand.h"
#include "proxy/access_format.h"
#include "proxy/record.h"
#include "proxy/texts.h"

#include <stdlib.h>

static const struct str awkward = STR_INIT("a\n\"\\\x7f\xff\x01 %END");

static struct record make_record(struct buf *headers)
{
    struct record rec = { .kind = RECORD_HTTP, .request_us = 1000, .request_bytes = 10 };

    access_log_init(&rec.log);
    for (int i = 0; i < ACCESS_LOG_NFIELDS; i++)
        if (access_log_fields[i].is_text)
            memcpy((char *)&rec.log + access_log_fields[i].offset, &awkward, sizeof(awkward));
    for (int i = 0; i < LOG_HEADERS_MOST / 2; i++)
        texts_put(headers, awkward);
    rec.headers = buf_view(headers);
    return rec;
}

static size_t newlines(struct str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '\n';
    return n;
}

/* One object: strings end, what is open is closed, and no control character stands bare. (base/yaml.h would refuse
 * characters that JSON allows and YAML does not.) */
static bool is_object(struct str s)
{
    bool in_string = false;
    int depth = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if ((unsigned char)c < 0x20)
            return false;
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '{' || c == '['))
            depth++;
        else if (!in_string && (c == '}' || c == ']') && --depth == 0)
            return i + 1 == s.n;
    }
    return false;
}

static void check(struct str format, struct str line)
{
    bool is_json = str_starts(str_trim(format), STR("{"));

    if (line.n == 0 || line.p[line.n - 1] != '\n')
        abort();
    if (is_json && (!is_object((struct str){ line.p, line.n - 1 }) || !str_is_utf8(line)))
        abort();
    if (!is_json && newlines(line) > newlines(format) + 1)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str format = { (const char *)data, size };
    struct arena a = ARENA_INIT(1 << 24);
    struct buf headers = BUF_INIT(TEXTS_MOST), line = BUF_INIT(1 << 24);
    struct err e = ERR_INIT;
    const struct access_format *f = access_format_compile(&a, format, &e);
    struct rng rng = { { 1, 2, 3, 4 } };
    const struct access_format_context with = { STR_INIT("pod"), &rng };

    if (f) {
        struct record rec = make_record(&headers);

        access_format_render(f, &line, &rec, &with);
        if (!buf_failed(&line))
            check(format, buf_view(&line));
    } else if (e.code == 0 || e.msg[0] == '\0') {
        abort();
    }
    buf_free(&headers);
    buf_free(&line);
    arena_free(&a);
    return 0;
}
