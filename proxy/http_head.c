#include "proxy/http_head.h"

static const struct str id_names[HTTP_NIDS] = {
    [HTTP_OTHER] = STR_INIT(""),
#define HTTP_NAME(id, name) [HTTP_##id] = STR_INIT(name),
    HTTP_IDS(HTTP_NAME)
#undef HTTP_NAME
};

enum http_id http_id_of(struct str name)
{
    if (name.n < 2 || name.n > 29)
        return HTTP_OTHER;
    for (int id = HTTP_OTHER + 1; id < HTTP_NIDS; id++)
        if (id_names[id].n == name.n && (id_names[id].p[0] | 0x20) == (name.p[0] | 0x20) && str_ieq(id_names[id], name))
            return (enum http_id)id;
    return HTTP_OTHER;
}

const char *http_reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *reason;
    } reasons[] = {
        { 100, "Continue" }, { 101, "Switching Protocols" }, { 103, "Early Hints" }, { 200, "OK" }, { 201, "Created" }, { 202, "Accepted" }, { 204, "No Content" }, { 206, "Partial Content" },
        { 301, "Moved Permanently" }, { 302, "Found" }, { 303, "See Other" }, { 304, "Not Modified" },
        { 307, "Temporary Redirect" }, { 308, "Permanent Redirect" }, { 400, "Bad Request" },
        { 401, "Unauthorized" }, { 403, "Forbidden" }, { 404, "Not Found" }, { 405, "Method Not Allowed" },
        { 408, "Request Timeout" }, { 409, "Conflict" }, { 410, "Gone" }, { 413, "Payload Too Large" },
        { 414, "URI Too Long" },
        { 417, "Expectation Failed" }, { 418, "I'm a teapot" }, { 426, "Upgrade Required" },
        { 429, "Too Many Requests" }, { 431, "Request Header Fields Too Large" }, { 500, "Internal Server Error" },
        { 501, "Not Implemented" }, { 502, "Bad Gateway" }, { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" }, { 505, "HTTP Version Not Supported" },
    };

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}

struct str http_version_text(enum http_version v)
{
    return v == HTTP_VERSION_2 ? STR("HTTP/2") : v == HTTP_VERSION_11 ? STR("HTTP/1.1") : STR("HTTP/1.0");
}
