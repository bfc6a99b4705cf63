#include "proxy/trailers.h"

/* Beside those that http_head.h knows. */
static bool is_forbidden_name(struct str name)
{
    static const struct str names[] = {
        /* how the content is read */
        STR_INIT("content-encoding"), STR_INIT("content-range"),
        /* where it goes, and whence it came */
        STR_INIT("forwarded"), STR_INIT("max-forwards"), STR_INIT("via"), STR_INIT("x-real-ip"),
        /* who sends it */
        STR_INIT("authorization"), STR_INIT("cookie"), STR_INIT("set-cookie"), STR_INIT("www-authenticate"),
        /* what a request asks for, and what an answer says about itself */
        STR_INIT("age"), STR_INIT("cache-control"), STR_INIT("expires"), STR_INIT("if-match"),
        STR_INIT("if-modified-since"), STR_INIT("if-none-match"), STR_INIT("if-range"),
        STR_INIT("if-unmodified-since"), STR_INIT("location"), STR_INIT("pragma"), STR_INIT("range"),
        STR_INIT("retry-after"), STR_INIT("vary"), STR_INIT("warning"),
    };
    static const struct str families[] = { STR_INIT("access-control-"), STR_INIT("proxy-"), STR_INIT("x-envoy-"),
                                           STR_INIT("x-forwarded-") };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (str_ieq(names[i], name))
            return true;
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        if (name.n >= families[i].n && str_ieq((struct str){ name.p, families[i].n }, families[i]))
            return true;
    return false;
}

void trailers_add(struct fields *f, struct str name, struct str value)
{
    enum http_id id = http_id_of(name);

    /* Every field that the proxy itself looks at in a head has its say there, but for gRPC's status. */
    if (id == HTTP_GRPC_STATUS || (id == HTTP_OTHER && !is_forbidden_name(name)))
        fields_add(f, name, value);
}

void trailers_from_head(struct fields *f, const struct http_head *h)
{
    f->n = 0;
    f->overflow = false;
    for (size_t i = 0; i < h->nfields; i++)
        trailers_add(f, http_text(h, h->fields[i].name), http_text(h, h->fields[i].value));
}

void trailers_from_lines(struct fields *f, struct str lines)
{
    f->n = 0;
    f->overflow = false;
    while (lines.n) {
        struct str line = str_cut(&lines, '\n'), name = str_cut(&line, ':');

        trailers_add(f, name, str_trim(line));
    }
}

bool trailers_wanted(const struct http_head *h)
{
    if (!h->first[HTTP_TE] || h->version == HTTP_VERSION_10)
        return false;
    for (size_t i = h->first[HTTP_TE] - 1u; i < h->nfields; i++) {
        struct str rest = http_text(h, h->fields[i].value);

        while (h->fields[i].id == HTTP_TE && rest.p)
            if (str_ieq(str_trim(str_cut(&rest, ',')), STR("trailers")))
                return true;
    }
    return false;
}
