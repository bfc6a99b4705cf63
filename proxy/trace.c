#include "proxy/trace.h"

#include <stdio.h>

static bool is_hex(struct str s)
{
    bool zero = true;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')))
            return false;
        zero &= c == '0';
    }
    return !zero;
}

static void copy_id(char *to, size_t width, struct str id)
{
    size_t pad = width - id.n;

    memset(to, '0', pad);
    for (size_t i = 0; i < id.n; i++)
        to[pad + i] = (char)(id.p[i] >= 'A' && id.p[i] <= 'F' ? id.p[i] + ('a' - 'A') : id.p[i]);
    to[width] = '\0';
}

/* 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 */
static bool read_w3c(struct trace *t, struct str v)
{
    struct str version, id, parent, flags, rest = v;

    if (v.n < 55)
        return false;
    version = str_cut(&rest, '-');
    id = rest.p ? str_cut(&rest, '-') : STR_NULL;
    parent = rest.p ? str_cut(&rest, '-') : STR_NULL;
    flags = rest.p ? str_cut(&rest, '-') : STR_NULL;
    /* A later version may append more; version 00 has exactly this. */
    if (version.n != 2 || id.n != 32 || parent.n != 16 || flags.n != 2 || !is_hex(id) || !is_hex(parent) ||
        str_ieq(version, STR("ff")) || (str_eqz(version, "00") && v.n != 55))
        return false;
    if (!is_hex(flags) && !str_eqz(flags, "00"))
        return false;
    copy_id(t->trace_id, 32, id);
    copy_id(t->parent_id, 16, parent);
    t->sampled = strchr("13579bBdDfF", flags.p[1]) != NULL;
    return true;
}

static bool read_b3_ids(struct trace *t, struct str id, struct str span)
{
    if ((id.n != 32 && id.n != 16) || span.n != 16 || !is_hex(id) || !is_hex(span))
        return false;
    copy_id(t->trace_id, 32, id);
    copy_id(t->parent_id, 16, span);
    t->short_id = id.n == 16;
    return true;
}

/* "1", "0", "d" (debug), "true", "false"; anything else leaves the decision to us. */
static bool read_decision(struct str v, bool *sampled)
{
    if (str_eqz(v, "1") || str_eqz(v, "d") || str_ieq(v, STR("true")))
        *sampled = true;
    else if (str_eqz(v, "0") || str_ieq(v, STR("false")))
        *sampled = false;
    else
        return false;
    return true;
}

/* traceid-spanid[-sampled[-parent]], or the decision alone */
static bool read_b3_single(struct trace *t, struct str v, bool *decided)
{
    struct str rest = v, id = str_cut(&rest, '-'), span = rest.p ? str_cut(&rest, '-') : STR_NULL;
    struct str sampled = rest.p ? str_cut(&rest, '-') : STR_NULL;

    if (!span.p) {
        *decided = read_decision(v, &t->sampled);
        return false;
    }
    *decided = read_decision(sampled, &t->sampled);
    return read_b3_ids(t, id, span);
}

static bool read_b3_multi(struct trace *t, const struct http_head *h, bool *decided)
{
    *decided = str_eqz(http_value(h, HTTP_X_B3_FLAGS), "1");
    if (*decided)
        t->sampled = true;
    else
        *decided = read_decision(http_value(h, HTTP_X_B3_SAMPLED), &t->sampled);
    return read_b3_ids(t, http_value(h, HTTP_X_B3_TRACEID), http_value(h, HTTP_X_B3_SPANID));
}

void trace_start(struct trace *t, const struct http_head *h, struct rng *rng, uint32_t sampling_ppm)
{
    bool decided = false, found = false, other = false;

    t->parent_id[0] = '\0';
    t->short_id = t->sampled = false;
    t->w3c = h->first[HTTP_TRACEPARENT] != 0;
    t->b3_single = h->first[HTTP_B3] != 0;
    t->b3_multi = h->first[HTTP_X_B3_TRACEID] != 0 || h->first[HTTP_X_B3_SAMPLED] != 0;
    if (t->w3c)
        found = decided = read_w3c(t, http_value(h, HTTP_TRACEPARENT));
    if (!found && t->b3_single)
        found = read_b3_single(t, http_value(h, HTTP_B3), &decided);
    if (!found && t->b3_multi)
        found = read_b3_multi(t, h, decided ? &other : &decided);
    if (!found)
        rng_hex(rng, t->trace_id, 32);
    if (!decided)
        t->sampled = sampling_ppm >= 1000000 || rng_below(rng, 1000000) < sampling_ppm;
    if (!found && !t->w3c && !t->b3_single && !t->b3_multi)
        t->w3c = t->b3_multi = true;
    rng_hex(rng, t->span_id, 16);
}

static struct str print_w3c(struct trace *t)
{
    memcpy(t->traceparent, "00-", 3);
    memcpy(t->traceparent + 3, t->trace_id, 32);
    t->traceparent[35] = '-';
    memcpy(t->traceparent + 36, t->span_id, 16);
    memcpy(t->traceparent + 52, t->sampled ? "-01" : "-00", 4);
    return (struct str){ t->traceparent, 55 };
}

void trace_inject(struct trace *t, struct fields *f)
{
    struct str id = { t->trace_id + (t->short_id ? 16 : 0), t->short_id ? 16 : 32 };

    if (t->w3c)
        fields_put(f, HTTP_TRACEPARENT, print_w3c(t));
    if (t->b3_single) {
        int n = snprintf(t->b3, sizeof(t->b3), "%.*s-%s-%c%s%s", STR_ARG(id), t->span_id, t->sampled ? '1' : '0',
                         t->parent_id[0] ? "-" : "", t->parent_id);

        fields_put(f, HTTP_B3, (struct str){ t->b3, (size_t)n });
    }
    if (t->b3_multi) {
        fields_put(f, HTTP_X_B3_TRACEID, id);
        fields_put(f, HTTP_X_B3_SPANID, (struct str){ t->span_id, 16 });
        fields_put(f, HTTP_X_B3_SAMPLED, t->sampled ? STR("1") : STR("0"));
        if (t->parent_id[0])
            fields_put(f, HTTP_X_B3_PARENTSPANID, (struct str){ t->parent_id, 16 });
    }
}
