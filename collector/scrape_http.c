/* scrape_http.c: the three sides of libcurl's multi interface: sockets and its timer are libevent's to watch, and what
 * has ended is asked for after each event. */
#include "collector/scrape_http-internal.h"

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    MOST_SECRET = 1 << 16,
    MOST_REDIRECTS = 10,
    READ_AT_ONCE = 64 << 10, /* stays in the processor's cache until it is copied to the body */
    LARGEST_SPARE = 8 << 20,
    SPARE_BODIES = 4 /* buffers of bodies that wait for the next answer, so that their pages need not be made anew */
};

struct http_client {
    CURLM *multi;
    struct event_base *base;
    struct event *timer;
    struct buf spare[SPARE_BODIES];
    size_t nspare;
};

/* --- the loop --- */

static void give_body_back(struct http_client *client, struct buf *body)
{
    if (client->nspare < SPARE_BODIES && body->p && body->cap <= LARGEST_SPARE) {
        buf_reset(body);
        client->spare[client->nspare++] = *body;
        *body = (struct buf)BUF_INIT(0);
    }
    buf_free(body);
}

static void end_call(struct http_call *call)
{
    struct http_client *client = call->client;

    call->client = NULL;
    curl_multi_remove_handle(client->multi, call->easy);
    curl_slist_free_all(call->headers);
    curl_slist_free_all(call->connect_to);
    call->headers = call->connect_to = NULL;
    mem_free(call->url);
    call->url = NULL;
}

static void tell_end(struct http_call *call, CURLcode code)
{
    struct http_client *client = call->client;
    char text[CURL_ERROR_SIZE + 600];

    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &call->status);
    if (call->too_large)
        snprintf(text, sizeof(text), "body size limit exceeded");
    else if (code == CURLE_OPERATION_TIMEDOUT)
        snprintf(text, sizeof(text), "Get \"%.512s\": context deadline exceeded", call->url);
    else if (code != CURLE_OK)
        snprintf(text, sizeof(text), "Get \"%.512s\": %s", call->url,
                 call->why[0] ? call->why : curl_easy_strerror(code));
    end_call(call);
    call->done(call, call->too_large || code != CURLE_OK ? text : NULL);
    give_body_back(client, &call->body);
}

static void tell_ends(struct http_client *client)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(client->multi, &left)))
        if (message->msg == CURLMSG_DONE) {
            CURLcode code = message->data.result;
            char *call;

            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
            tell_end((struct http_call *)(void *)call, code);
        }
}

static void socket_ready(evutil_socket_t fd, short what, void *arg)
{
    struct http_client *client = arg;
    int running, flags = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);

    curl_multi_socket_action(client->multi, fd, flags, &running);
    tell_ends(client);
}

static void time_is_up(evutil_socket_t fd, short what, void *arg)
{
    struct http_client *client = arg;
    int running;

    (void)fd;
    (void)what;
    curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    tell_ends(client);
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    struct http_client *client = arg;
    struct event *ev = known;
    short flags = (short)((what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0) | EV_PERSIST);

    (void)easy;
    if (ev)
        event_free(ev);
    ev = what == CURL_POLL_REMOVE ? NULL : event_new(client->base, fd, flags, socket_ready, client);
    if (ev && event_add(ev, NULL) < 0) {
        event_free(ev);
        ev = NULL;
    }
    curl_multi_assign(client->multi, fd, ev);
    return ev || what == CURL_POLL_REMOVE ? 0 : -1;
}

static int set_timer(CURLM *multi, long ms, void *arg)
{
    struct http_client *client = arg;
    struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

    (void)multi;
    if (ms < 0)
        event_del(client->timer);
    else
        event_add(client->timer, &tv);
    return 0;
}

struct http_client *http_client_new(struct event_base *base, struct err *e)
{
    struct http_client *client = mem_zalloc(sizeof(*client));

    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (client) {
        client->base = base;
        client->multi = curl_multi_init();
        client->timer = event_new(base, -1, 0, time_is_up, client);
    }
    if (!client || !client->multi || !client->timer) {
        http_client_free(client);
        err_set(e, ERR_NOMEM, "no memory for an HTTP client");
        return NULL;
    }
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    return client;
}

void http_client_free(struct http_client *client)
{
    if (!client)
        return;
    curl_multi_cleanup(client->multi); /* closes connections, whose events end by watch_socket */
    if (client->timer)
        event_free(client->timer);
    while (client->nspare)
        buf_free(&client->spare[--client->nspare]);
    mem_free(client);
}

void http_client_keep(struct http_client *client, long connections)
{
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, connections);
}

/* --- one request --- */

/* Processes that this one starts shall not hold its connections open. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *at)
{
    (void)arg;
    (void)purpose;
    return socket(at->family, at->socktype | SOCK_CLOEXEC, at->protocol);
}

static size_t take_body(char *p, size_t size, size_t n, void *arg)
{
    struct http_call *call = arg;

    (void)size; /* 1 */
    call->too_large = n > call->body.max - call->body.n;
    if (!call->too_large)
        buf_put(&call->body, p, n);
    return call->too_large || buf_failed(&call->body) ? 0 : n;
}

static struct str without_space(struct str s)
{
    static const char space[] = " \t\r\n";

    while (s.n && strchr(space, s.p[s.n - 1]))
        s.n--;
    while (s.n && strchr(space, *s.p)) {
        s.p++;
        s.n--;
    }
    return s;
}

/* The value itself, or what its file holds now; NUL-terminated in `out`. */
static int secret(struct str value, struct str file, struct buf *out, struct err *e)
{
    struct buf text = BUF_INIT(MOST_SECRET);
    int rc = 0;

    if (file.n) {
        rc = file_read(file.p, &text, e);
        value = without_space(buf_view(&text));
    }
    buf_reset(out);
    buf_str(out, value);
    buf_free(&text);
    return rc < 0 ? rc : buf_cstr(out) ? 0 : err_set(e, ERR_NOMEM, "no memory for a secret");
}

static int add_line(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = line ? curl_slist_append(*list, line) : NULL;

    if (!longer)
        return ERR_NOMEM;
    *list = longer;
    return 0;
}

__attribute__((format(printf, 2, 3))) static int add_header(struct http_call *call, const char *fmt, ...)
{
    char text[MOST_SECRET + 1024];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return n >= 0 && (size_t)n < sizeof(text) ? add_line(&call->headers, text) : ERR_NOMEM;
}

static int set_authorization(struct http_call *call, const struct http_settings *s, struct err *e)
{
    struct buf text = BUF_INIT(MOST_SECRET + 1);
    int rc = 0;

    if (s->user.p) {
        curl_easy_setopt(call->easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        rc = secret(s->user, s->user_file, &text, e);
        if (rc == 0)
            curl_easy_setopt(call->easy, CURLOPT_USERNAME, buf_cstr(&text));
        if (rc == 0)
            rc = secret(s->password, s->password_file, &text, e);
        if (rc == 0)
            curl_easy_setopt(call->easy, CURLOPT_PASSWORD, buf_cstr(&text));
    } else if (s->auth_type.p) {
        rc = secret(s->credentials, s->credentials_file, &text, e);
        if (rc == 0 && add_header(call, "Authorization: %s %s", s->auth_type.p, buf_cstr(&text)) < 0)
            rc = err_set(e, ERR_NOMEM, "no memory for a header");
    }
    buf_free(&text);
    return rc;
}

static int set_headers(struct http_call *call, const struct http_request *rq, struct err *e)
{
    const struct http_settings *s = rq->settings;
    int rc = add_header(call, "Accept: %s", rq->accept);

    if (rc == 0 && rq->extra_header)
        rc = add_header(call, "%s", rq->extra_header);
    if (rc == 0 && !rq->gzip)
        rc = add_header(call, "Accept-Encoding: identity");
    for (size_t i = 0; rc == 0 && i < s->nheaders; i++)
        rc = add_header(call, "%s: %s", s->headers[i].name.p, s->headers[i].value.p);
    return rc < 0 ? err_set(e, ERR_NOMEM, "no memory for headers") : set_authorization(call, s, e);
}

static long tls_version(struct str name)
{
    static const struct {
        struct str name;
        long version;
    } versions[] = {
        { STR_INIT("TLS10"), CURL_SSLVERSION_TLSv1_0 }, { STR_INIT("TLS11"), CURL_SSLVERSION_TLSv1_1 },
        { STR_INIT("TLS12"), CURL_SSLVERSION_TLSv1_2 }, { STR_INIT("TLS13"), CURL_SSLVERSION_TLSv1_3 },
    };

    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++)
        if (str_eq(name, versions[i].name))
            return versions[i].version;
    return CURL_SSLVERSION_TLSv1_2;
}

static void set_blob(CURL *easy, CURLoption option, struct str s)
{
    struct curl_blob blob = { NULL, s.n, CURL_BLOB_COPY };

    memcpy(&blob.data, &s.p, sizeof(blob.data)); /* which libcurl only reads, though it says `void *` */
    if (s.n)
        curl_easy_setopt(easy, option, &blob);
}

/* libcurl reads all certificates of the system for each new connection, which takes OpenSSL 3 a tenth of a second. It
 * keeps them for the next one only when there is no folder of them beside the file (CURLOPT_CA_CACHE_TIMEOUT), so that
 * is left out; and where they are of no use, they are not read at all. */
static void set_authorities(CURL *easy, const struct http_settings *s)
{
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    if (s->ca_file.n)
        curl_easy_setopt(easy, CURLOPT_CAINFO, s->ca_file.p);
    else if (s->ca.n || s->insecure_skip_verify)
        curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
    set_blob(easy, CURLOPT_CAINFO_BLOB, s->ca);
}

static void set_tls(CURL *easy, const struct http_settings *s)
{
    static const long max_of_min = 16; /* CURL_SSLVERSION_MAX_TLSv1_x is CURL_SSLVERSION_TLSv1_x shifted by 16 */
    long version = tls_version(s->min_version);

    if (s->max_version.n)
        version |= tls_version(s->max_version) << max_of_min;
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, version);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, (long)!s->insecure_skip_verify);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, s->insecure_skip_verify ? 0L : 2L);
    set_authorities(easy, s);
    if (s->cert_file.n)
        curl_easy_setopt(easy, CURLOPT_SSLCERT, s->cert_file.p);
    if (s->key_file.n)
        curl_easy_setopt(easy, CURLOPT_SSLKEY, s->key_file.p);
    set_blob(easy, CURLOPT_SSLCERT_BLOB, s->cert);
    set_blob(easy, CURLOPT_SSLKEY_BLOB, s->key);
}

/* libcurl asks the server for, and checks, the name in the URL. So the URL gets server_name as its host, the
 * connection goes to the old host, and the Host header keeps naming it. */
static int rename_server(struct http_call *call, const char *url, const char *name)
{
    CURLU *u = curl_url();
    char *host = NULL, *port = NULL, *renamed = NULL, line[1200];
    int rc = ERR_NOMEM;

    if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
        curl_url_set(u, CURLUPART_HOST, name, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_URL, &renamed, 0) == CURLUE_OK) {
        snprintf(line, sizeof(line), "%.256s:%.8s:%.512s:%.8s", name, port, host, port);
        rc = add_line(&call->connect_to, line);
        if (rc == 0)
            rc = add_header(call, "Host: %.512s:%.8s", host, port);
        curl_easy_setopt(call->easy, CURLOPT_CONNECT_TO, call->connect_to);
        curl_easy_setopt(call->easy, CURLOPT_URL, renamed);
    }
    curl_free(host);
    curl_free(port);
    curl_free(renamed);
    curl_url_cleanup(u);
    return rc;
}

static void set_transport(struct http_call *call, const struct http_request *rq)
{
    const struct http_settings *s = rq->settings;
    CURL *easy = call->easy;

    curl_easy_setopt(easy, CURLOPT_URL, rq->url);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->why);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)READ_AT_ONCE);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)rq->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "vigla/" VIGLA_VERSION);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, (long)s->follow_redirects);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)MOST_REDIRECTS);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, s->http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1);
    if (rq->gzip)
        curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
    if (s->proxy_url.n)
        curl_easy_setopt(easy, CURLOPT_PROXY, s->proxy_url.p);
    else if (!s->proxy_from_environment)
        curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* none, whatever the environment says */
    if (s->no_proxy.n)
        curl_easy_setopt(easy, CURLOPT_NOPROXY, s->no_proxy.p);
    set_tls(easy, s);
}

int http_call_start(struct http_client *client, struct http_call *call, const struct http_request *rq, struct err *e)
{
    uint64_t most = rq->body_bytes ? rq->body_bytes : HTTP_MOST_BYTES;
    int rc;

    if (!call->easy && !(call->easy = curl_easy_init()))
        return err_set(e, ERR_NOMEM, "no memory for a request");
    curl_easy_reset(call->easy);
    call->client = client;
    call->too_large = false;
    call->status = 0;
    call->why[0] = '\0';
    call->body = client->nspare ? client->spare[--client->nspare] : (struct buf)BUF_INIT(0);
    call->body.max = most;
    call->url = mem_strdup(rq->url);
    set_transport(call, rq);
    rc = call->url ? set_headers(call, rq, e) : err_set(e, ERR_NOMEM, "no memory for a URL");
    if (rc == 0 && rq->settings->server_name.n && rename_server(call, rq->url, rq->settings->server_name.p) < 0)
        rc = err_set(e, ERR_NOMEM, "server_name \"%s\": cannot be a server's name", rq->settings->server_name.p);
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
    if (rc == 0 && curl_multi_add_handle(client->multi, call->easy) != CURLM_OK)
        rc = err_set(e, ERR_NOMEM, "no memory for a request");
    if (rc < 0) {
        end_call(call);
        give_body_back(client, &call->body);
    }
    return rc;
}

const char *http_call_type(const struct http_call *call)
{
    char *type = NULL;

    curl_easy_getinfo(call->easy, CURLINFO_CONTENT_TYPE, &type);
    return type ? type : "";
}

void http_call_fini(struct http_call *call)
{
    if (call->client)
        end_call(call);
    buf_free(&call->body);
    if (call->easy)
        curl_easy_cleanup(call->easy);
    call->easy = NULL;
}
