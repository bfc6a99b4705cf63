#include "store/pack-internal.h"

void labels_pack(struct buf *b, struct labels l)
{
    for (size_t i = 0; i < l.n; i++) {
        varint_put(b, l.v[i].name.n);
        buf_str(b, l.v[i].name);
        varint_put(b, l.v[i].value.n);
        buf_str(b, l.v[i].value);
    }
}

static bool get_text(struct bytes *r, struct str *s)
{
    uint64_t n;

    if (!varint_get(r, &n) || n > bytes_left(r))
        return false;
    *s = (struct str){ (const char *)r->p, (size_t)n };
    r->p += n;
    return true;
}

bool labels_next(struct bytes *r, struct label *l)
{
    return get_text(r, &l->name) && get_text(r, &l->value);
}

int labels_unpack(struct arena *a, struct str bytes, struct labels *out, struct err *e)
{
    struct bytes r = bytes_of(bytes), count = r;
    struct label *v, skipped;
    size_t n = 0;

    *out = (struct labels){ NULL, 0 };
    for (; count.p < count.end; n++)
        if (!labels_next(&count, &skipped))
            return err_set(e, ERR_CORRUPT, "label set: cut short in label %zu", n);
    v = arena_array(a, n ? n : 1, sizeof(*v));
    if (!v)
        return err_set(e, ERR_NOMEM, "no memory for %zu labels", n);
    for (size_t i = 0; i < n; i++)
        labels_next(&r, &v[i]);
    *out = (struct labels){ v, n };
    return 0;
}
