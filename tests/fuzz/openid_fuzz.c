/* openid_fuzz.c: the first line is where a document was asked for, the rest is the document. What is taken from it is an
 * address of the scheme that was asked by, or a better one. */
#include "proxy/http_url-internal.h"
#include "proxy/openid.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = { (const char *)data, size }, asked = str_cut(&rest, '\n');
    struct buf uri = BUF_INIT(2048);
    struct http_url from, to;
    bool secure = str_starts(asked, STR("https://"));

    if (openid_keys_uri(rest, asked, &uri, NULL) == 0) {
        if (uri.n == 0 || (secure && !str_starts(buf_view(&uri), STR("https://"))))
            abort();
        if (http_url_parse(buf_cstr(&uri), &from, NULL) == 0 && http_url_follow(&from, asked, &to, NULL) == 0 &&
            from.secure && !to.secure)
            abort();
    }
    buf_free(&uri);
    return 0;
}
