/* A stream of syslog messages, of which the first byte says how long they may be and the second in which pieces it
 * comes. Nothing may crash, and
 *   - whatever the pieces, the messages are the same;
 *   - no message is longer than it may be, and the bytes that wait stay bounded;
 *   - all of a message's texts are views of it, or of the arena. */
#include "base/buf.h"
#include "collector/syslog_frame.h"
#include "collector/syslog_message.h"

#include <stdlib.h>

enum { MOST_INPUT = 1 << 14 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_message(struct str text)
{
    struct arena a = ARENA_INIT(4 << 20);
    struct syslog_message m;

    if (syslog_parse(text, 0, &a, &m) == 0) {
        if (m.priority < 0 || m.priority > 191 || m.ndata > SYSLOG_MOST_DATA || m.text.n > text.n)
            abort();
        if (syslog_severity(m.priority).n == 0 || syslog_facility(m.priority).n == 0 ||
            syslog_severity_number(m.priority) < 1)
            abort();
        for (size_t i = 0; i < m.ndata; i++)
            if (m.data[i].name.n == 0 || m.data[i].value.n == 0)
                abort();
    }
    arena_free(&a);
}

static void cut(struct str in, size_t max, size_t step, struct buf *out)
{
    struct syslog_framer f = { .max = max };
    struct buf waiting = BUF_INIT(1 << 20);
    struct syslog_frame frame;

    for (size_t at = 0;; at += step) {
        bool end = at >= in.n, there = true;

        if (!end)
            buf_put(&waiting, in.p + at, in.n - at < step ? in.n - at : step);
        while (there) {
            there = syslog_frame_next(&f, buf_view(&waiting), end, &frame);
            if (there && frame.message.n > max)
                abort();
            if (there && frame.message.n) {
                buf_printf(out, "%zu%c", frame.message.n, frame.cut ? '~' : ' ');
                buf_str(out, frame.message);
                check_message(frame.message);
            }
            buf_drain(&waiting, frame.used);
        }
        if (waiting.n > max + SYSLOG_FRAME_OVERHEAD + step)
            abort();
        if (end)
            break;
    }
    buf_free(&waiting);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole = BUF_INIT(1 << 20), pieces = BUF_INIT(1 << 20);
    size_t max, step;
    struct str in;

    if (size < 2 || size > MOST_INPUT)
        return 0;
    max = 8 + data[0];
    step = 1 + data[1];
    in = (struct str){ (const char *)data + 2, size - 2 };
    cut(in, max, in.n + 1, &whole);
    cut(in, max, step, &pieces);
    if (!str_eq(buf_view(&whole), buf_view(&pieces)))
        abort();
    check_message(in);
    buf_free(&whole);
    buf_free(&pieces);
    return 0;
}
