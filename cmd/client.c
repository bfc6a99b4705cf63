#include "cmd/client-internal.h"

#include "base/num.h"

#include <curl/curl.h>
#include <pthread.h>
#include <unistd.h>

enum { MOST_REPLY = 256 << 20 };

static void start_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static size_t take_body(char *p, size_t size, size_t n, void *arg)
{
    struct buf *b = arg;

    buf_put(b, p, size * n);
    return buf_failed(b) ? 0 : size * n;
}

static size_t take_header(char *p, size_t size, size_t n, void *arg)
{
    struct client_reply *reply = arg;
    struct str line = { p, size * n }, name = str_cut(&line, ':');

    if (line.p && str_ieq(name, STR("Vigla-Version"))) {
        while (line.n && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
            line.n--;
        num_u64(str_trim(line), &reply->version);
    }
    return size * n;
}

static struct curl_slist *headers(const struct client_call *call)
{
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    char line[160];

    snprintf(line, sizeof(line), "Content-Type: %s", call->content_type ? call->content_type : "application/yaml");
    if (call->body.n)
        list = curl_slist_append(list, line);
    if (call->header)
        list = curl_slist_append(list, call->header);
    return list;
}

static int perform(CURL *curl, const char *server, struct client_reply *reply, struct err *e)
{
    CURLcode rc = curl_easy_perform(curl);

    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply->status);
    if (rc == CURLE_OK)
        return 0;
    if (rc == CURLE_COULDNT_CONNECT)
        return err_set(e, ERR_IO, "%s: no server answers there (start one with: vigla serve --data DIR)", server);
    if (rc == CURLE_OPERATION_TIMEDOUT)
        return err_set(e, ERR_TIMEOUT, "%s: no answer in time", server);
    if (rc == CURLE_WRITE_ERROR)
        return err_set(e, ERR_LIMIT, "%s: the answer is larger than %d bytes", server, MOST_REPLY);
    return err_set(e, ERR_IO, "%s: %s (the server's URL should be http://HOST:PORT)", server, curl_easy_strerror(rc));
}

int client_call(const char *server, const struct client_call *call, struct client_reply *reply, struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct buf url = BUF_INIT(64 * 1024);
    struct curl_slist *list = headers(call);
    CURL *curl;
    int rc;

    pthread_once(&once, start_curl);
    *reply = (struct client_reply){ .body = BUF_INIT(MOST_REPLY) };
    curl = curl_easy_init();
    buf_printf(&url, "%s%s", server, call->path ? call->path : "/");
    if (!call->path) {
        rc = err_set(e, ERR_LIMIT, "%s: the request's path is too long", server);
        goto done;
    }
    if (!curl || !list || buf_failed(&url)) {
        rc = err_set(e, ERR_NOMEM, "%s: no memory for a call", server);
        goto done;
    }
    curl_easy_setopt(curl, CURLOPT_URL, buf_cstr(&url));
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, call->timeout_ms ? call->timeout_ms : 30000L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &reply->body);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, reply);
    if (call->body.n) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.n);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body.p);
    }
    rc = perform(curl, server, reply, e);
done:
    curl_easy_cleanup(curl);
    curl_slist_free_all(list);
    buf_free(&url);
    if (rc < 0)
        buf_free(&reply->body);
    return rc;
}

/* The server's sentence: our own APIs say "error", Prometheus' too, Jaeger's has an object there, Loki's is the whole body.
 * What says nothing, or a page, is told with its place: it may be no Vigla at all. */
static int refusal(const char *server, const struct client_call *call, const struct client_reply *reply, struct err *e)
{
    json_t *body = reply->body.n ? json_loadb(reply->body.p, reply->body.n, 0, NULL) : NULL;
    const json_t *error = json_object_get(body, "error");
    const char *words = json_string_value(json_is_object(error) ? json_object_get(error, "message") : error);
    struct str text = str_trim(buf_view(&reply->body));
    int code = reply->status == 404 ? ERR_NOTFOUND : ERR_INVALID;

    while (text.n && text.p[text.n - 1] == '\n')
        text.n--;
    if (words)
        err_set(e, code, "%s", words);
    else if (text.n && text.p[0] != '<')
        err_set(e, code, "%.*s", (int)(text.n < 200 ? text.n : 200), text.p);
    else
        err_set(e, code, "%s: %s %.80s: status %ld (is this a Vigla server?)", server, call->method, call->path,
                reply->status);
    json_decref(body);
    return code;
}

int client_print(const char *server, const char *path, FILE *out, struct err *e)
{
    const struct client_call call = { .method = "GET", .path = path };
    struct client_reply reply;
    int rc = client_call(server, &call, &reply, e);

    if (rc < 0)
        return rc;
    if (reply.status >= 400)
        rc = refusal(server, &call, &reply, e);
    else if (fwrite(reply.body.p, 1, reply.body.n, out) < reply.body.n)
        rc = err_set(e, ERR_IO, "the answer cannot be written: %m");
    else if (reply.body.n && reply.body.p[reply.body.n - 1] != '\n' && isatty(fileno(out)))
        fputc('\n', out);
    buf_free(&reply.body);
    return rc;
}

json_t *client_json(const char *server, const struct client_call *call, struct err *e)
{
    struct client_reply reply;
    json_t *body;

    if (client_call(server, call, &reply, e) < 0)
        return NULL;
    if (reply.status >= 400) {
        refusal(server, call, &reply, e);
        body = NULL;
    } else if (!(body = reply.body.n ? json_loadb(reply.body.p, reply.body.n, JSON_DECODE_ANY, NULL) : NULL)) {
        err_set(e, ERR_PARSE, "%s%s: the answer is no JSON", server, call->path);
    }
    buf_free(&reply.body);
    return body;
}

void client_escape(struct buf *b, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
                     strchr("-._~", *p) != NULL;

        if (plain)
            buf_putc(b, (char)*p);
        else
            buf_printf(b, "%%%02X", *p);
    }
}

void client_parameter(struct buf *path, const char *key, const char *value)
{
    if (!value)
        return;
    buf_printf(path, "%c%s=", str_chr(buf_view(path), '?') < 0 ? '?' : '&', key);
    client_escape(path, value);
}
