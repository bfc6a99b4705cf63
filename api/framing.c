/* framing.c: what libmicrohttpd takes one way and a proxy before us might take another (RFC 9112, 3.2 and 6.3). */

#include "api/http-internal.h"

/* How often the fields stand there that say where a request goes and where it ends. */
struct framing {
    unsigned hosts, lengths, codings;
    bool chunked;
};

static enum MHD_Result count_field(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct framing *f = cls;
    struct str s = str_of(name);

    (void)kind;
    f->hosts += str_ieq(s, STR(MHD_HTTP_HEADER_HOST));
    f->lengths += str_ieq(s, STR(MHD_HTTP_HEADER_CONTENT_LENGTH));
    if (str_ieq(s, STR(MHD_HTTP_HEADER_TRANSFER_ENCODING))) {
        f->codings++;
        f->chunked = str_ieq(str_trim(str_of(value)), STR("chunked"));
    }
    return MHD_YES;
}

bool framing_check(struct request *rq, const char *version)
{
    struct framing f = { 0 };

    MHD_get_connection_values(rq->connection, MHD_HEADER_KIND, count_field, &f);
    if (f.hosts > 1)
        reply_text(rq, 400, "Host stands there %u times, should be once", f.hosts);
    else if (f.hosts == 0 && strcmp(version, MHD_HTTP_VERSION_1_1) == 0)
        reply_text(rq, 400, "Host is missing");
    else if (f.lengths + f.codings > 1)
        reply_text(rq, 400, "should be one Content-Length or one Transfer-Encoding");
    else if (f.codings && !f.chunked)
        reply_text(rq, 501, "Transfer-Encoding should be chunked");
    return rq->status == 0;
}
