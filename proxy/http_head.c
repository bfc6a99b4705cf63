#include "proxy/http_head.h"

static const struct str id_names[HTTP_NIDS] = {
    [HTTP_OTHER] = STR_INIT(""),
#define HTTP_NAME(id, name) [HTTP_##id] = STR_INIT(name),
    HTTP_IDS(HTTP_NAME)
#undef HTTP_NAME
};

enum { LONGEST_NAME = 31 };

/* Ids by the length of their names, those of the same length in a chain. */
static uint8_t of_length[LONGEST_NAME + 1], next_id[HTTP_NIDS];

__attribute__((constructor)) static void chain_ids(void)
{
    for (uint8_t id = HTTP_NIDS - 1; id > HTTP_OTHER; id--) {
        next_id[id] = of_length[id_names[id].n];
        of_length[id_names[id].n] = id;
    }
}

enum http_id http_id_of(struct str name)
{
    uint8_t id = name.n <= LONGEST_NAME ? of_length[name.n] : HTTP_OTHER;

    while (id && ((id_names[id].p[0] | 0x20) != (name.p[0] | 0x20) || !str_ieq(id_names[id], name)))
        id = next_id[id];
    return (enum http_id)id;
}

struct str http_name_of(enum http_id id)
{
    return id_names[id];
}

const char *http_reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *reason;
    } reasons[] = {
        { 100, "Continue" }, { 101, "Switching Protocols" }, { 103, "Early Hints" }, { 200, "OK" },
        { 201, "Created" }, { 202, "Accepted" }, { 204, "No Content" }, { 206, "Partial Content" },
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
