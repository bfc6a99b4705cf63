#include "store/rawlabels-internal.h"

#include "base/pb.h"

static int parse_label(struct str message, struct label *l, struct err *e)
{
    struct pb_reader r = pb_reader(message);
    struct pb_field f;
    int rc;

    *l = (struct label){ STR(""), STR("") };
    while ((rc = pb_next(&r, &f, e)) == 1) {
        if (f.number != 1 && f.number != 2)
            continue;
        rc = pb_want(&f, PB_BYTES, e);
        if (rc < 0)
            break;
        if (f.number == 1)
            l->name = f.bytes;
        else
            l->value = f.bytes;
    }
    if (rc == 0 && (!str_is_utf8(l->name) || !str_is_utf8(l->value)))
        rc = err_set(e, ERR_INVALID, "label \"%.*s\": not UTF-8", STR_ARG(l->name));
    return rc;
}

int raw_labels_parse(struct str raw, struct arena *a, struct labels *out, struct err *e)
{
    struct pb_reader r = pb_reader(raw);
    struct label *l = NULL;
    size_t n = 0, cap = 0;
    struct pb_field f;
    int rc;

    while ((rc = pb_next(&r, &f, e)) == 1) {
        rc = f.number == 1 ? pb_want(&f, PB_BYTES, e) : err_set(e, ERR_PARSE, "field %u among the labels", f.number);
        if (rc == 0 && arena_grow(a, &l, &cap, n + 1, sizeof(*l)) < 0)
            rc = err_set(e, ERR_NOMEM, "no memory for labels");
        if (rc == 0)
            rc = parse_label(f.bytes, &l[n++], e);
        if (rc < 0)
            return rc;
    }
    if (rc == 0)
        rc = labels_normalise(l, &n, e);
    *out = (struct labels){ l, n };
    return rc < 0 ? rc : series_labels_check(*out, e);
}
