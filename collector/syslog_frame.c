#include "collector/syslog_frame.h"

enum { MOST_DIGITS = 9 };

/* What is to be passed over, and what stands between messages. */
static size_t pass_over(struct syslog_framer *f, struct str in)
{
    size_t n = f->skip < in.n ? f->skip : in.n;
    ptrdiff_t newline;

    f->skip -= n;
    if (f->skip_line) {
        newline = str_chr(str_from(in, n), '\n');
        if (newline < 0)
            return in.n;
        f->skip_line = false;
        n += (size_t)newline + 1;
    }
    while (f->skip == 0 && n < in.n && (in.p[n] == '\n' || in.p[n] == '\r' || in.p[n] == '\0'))
        n++;
    return n;
}

/* "29 " at the start: 1; 0: no count; -1: it may become one. */
static int read_count(struct str in, size_t *count, size_t *digits)
{
    size_t n = 0;

    *count = 0;
    if (in.n == 0 || in.p[0] < '1' || in.p[0] > '9')
        return 0;
    while (n < in.n && n < MOST_DIGITS && in.p[n] >= '0' && in.p[n] <= '9')
        *count = *count * 10 + (size_t)(in.p[n++] - '0');
    if (n == in.n)
        return -1;
    *digits = n;
    return in.p[n] == ' ';
}

/* Some senders end a counted message with a newline, too. */
static struct str without_end(const char *p, size_t n)
{
    while (n && (p[n - 1] == '\n' || p[n - 1] == '\r' || p[n - 1] == '\0'))
        n--;
    return (struct str){ p, n };
}

/* `in` begins behind the count; *n: bytes taken of it. */
static bool by_count(struct syslog_framer *f, struct str in, size_t count, bool end, struct syslog_frame *out,
                     size_t *n)
{
    *n = count < f->max ? count : f->max;
    if (in.n < *n && !end)
        return false;
    *n = in.n < *n ? in.n : *n;
    out->cut = *n < count;
    f->skip = count - *n;
    out->message = without_end(in.p, *n);
    return true;
}

static bool by_line(struct syslog_framer *f, struct str in, bool end, struct syslog_frame *out, size_t *n)
{
    ptrdiff_t newline = str_chr(in, '\n');
    size_t length = newline < 0 ? in.n : (size_t)newline;

    if (newline < 0 && in.n <= f->max && !end)
        return false;
    out->cut = length > f->max;
    f->skip_line = out->cut;
    *n = out->cut ? f->max : length;
    out->message = without_end(in.p, *n);
    return true;
}

bool syslog_frame_next(struct syslog_framer *f, struct str in, bool end, struct syslog_frame *out)
{
    size_t count, digits = 0, n = 0;
    int counted;
    bool there;

    *out = (struct syslog_frame){ .used = pass_over(f, in) };
    in = str_from(in, out->used);
    if (in.n == 0)
        return false;
    counted = read_count(in, &count, &digits);
    if (counted < 0 && !end)
        return false;
    if (counted == 1)
        there = by_count(f, str_from(in, digits + 1), count, end, out, &n);
    else
        there = by_line(f, in, end, out, &n);
    if (there)
        out->used += n + (counted == 1 ? digits + 1 : 0);
    return there;
}
