/* static.c: the console, from the table that is embedded in the program. */

#include "api/assets.h"
#include "api/http-internal.h"

/* Scripts, styles and requests of our own only; nothing inline, nothing that frames us. */
static const char policy[] = "default-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
                             "connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; "
                             "frame-ancestors 'none'";

static const struct web_asset *asset_at(struct str path)
{
    for (size_t i = 0; i < web_assets_n; i++)
        if (str_eqz(path, web_assets[i].path))
            return &web_assets[i];
    return NULL;
}

/* Paths that the console makes up itself are its index page. */
static const struct web_asset *find_asset(struct str path)
{
    const struct web_asset *a = asset_at(path);

    if (!a && (str_eqz(path, "/") || str_eqz(path, "/console") || str_starts(path, STR("/console/"))))
        a = asset_at(STR("/index.html"));
    return a;
}

static bool is_known(const struct request *rq, const char *etag)
{
    struct str list = str_of(request_header(rq, MHD_HTTP_HEADER_IF_NONE_MATCH));

    while (list.p) {
        struct str tag = str_trim(str_cut(&list, ','));

        if (str_starts(tag, STR("W/")))
            tag = str_from(tag, 2);
        if (str_eqz(tag, etag) || str_eqz(tag, "*"))
            return true;
    }
    return false;
}

void static_get(struct request *rq)
{
    const struct web_asset *a = find_asset(url_decode(&rq->arena, rq->path, false));
    bool zipped = a && a->gzip && accepts_gzip(str_of(request_header(rq, MHD_HTTP_HEADER_ACCEPT_ENCODING)));

    if (!a) {
        reply_text(rq, 404, "404 page not found");
        return;
    }
    reply_begin(rq, is_known(rq, a->etag) ? 304 : 200, a->content_type);
    reply_header(rq, "Content-Security-Policy", policy);
    reply_header(rq, "Referrer-Policy", "no-referrer");
    reply_header(rq, MHD_HTTP_HEADER_ETAG, a->etag);
    reply_header(rq, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
    reply_header(rq, MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ACCEPT_ENCODING);
    if (rq->status == 304)
        return;
    if (zipped)
        reply_header(rq, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
    rq->fixed = zipped ? (struct str){ (const char *)a->gzip, a->gzip_n }
                       : (struct str){ (const char *)a->bytes, a->n };
}
