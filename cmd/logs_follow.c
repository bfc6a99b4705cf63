/* logs_follow.c: vigla logs -f: Loki's tail over a WebSocket, by libcurl's plain connections (TLS included).
 *
 * A connection that is lost is made again, from the newest line that was printed on. What the server refuses (a query it
 * cannot read, too many followers) ends it. */
#include "api/websocket.h"
#include "base/clock.h"
#include "base/rand.h"
#include "cmd/logs-internal.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
    LARGEST_MESSAGE = 32 << 20,
    LARGEST_HEAD = 64 << 10,
    SILENCE_MS = 90000, /* the server pings every 30 s */
    FIRST_PAUSE_MS = 500,
    LONGEST_PAUSE_MS = 10000
};

struct follower {
    const struct log_follow *f;
    struct log_printer *p;
    CURL *curl;
    curl_socket_t fd;
    struct websocket_reader in;
    struct buf head; /* the answer to the handshake */
};

/* --- bytes ------------------------------------------------------------------------------------------------------- */

static int lost(struct err *e, const char *why)
{
    return err_set(e, ERR_CLOSED, "logs: %s", why);
}

static int wait_for(struct follower *w, short events, struct err *e)
{
    struct pollfd fd = { .fd = w->fd, .events = events };

    return poll(&fd, 1, SILENCE_MS) > 0 ? 0 : lost(e, "the server has gone silent");
}

static int send_all(struct follower *w, struct str s, struct err *e)
{
    while (s.n) {
        size_t n = 0;
        CURLcode rc = curl_easy_send(w->curl, s.p, s.n, &n);

        s = str_from(s, n);
        if (rc == CURLE_AGAIN && wait_for(w, POLLOUT, e) < 0)
            return ERR_CLOSED;
        if (rc != CURLE_OK && rc != CURLE_AGAIN)
            return lost(e, curl_easy_strerror(rc));
    }
    return 0;
}

/* Some bytes, *n > 0. */
static int receive(struct follower *w, char *to, size_t most, size_t *n, struct err *e)
{
    CURLcode rc;

    *n = 0;
    while ((rc = curl_easy_recv(w->curl, to, most, n)) == CURLE_AGAIN)
        if (wait_for(w, POLLIN, e) < 0)
            return ERR_CLOSED;
    return rc == CURLE_OK && *n ? 0 : lost(e, rc == CURLE_OK ? "the server has closed the connection" : curl_easy_strerror(rc));
}

/* --- the handshake ----------------------------------------------------------------------------------------------- */

static void make_key(char out[WEBSOCKET_KEY_TEXT])
{
    unsigned char bytes[16];

    rand_bytes(bytes, sizeof(bytes));
    EVP_EncodeBlock((unsigned char *)out, bytes, sizeof(bytes));
}

/* "host:port" of the server's URL, as Host has it. */
static char *authority(const char *url)
{
    CURLU *u = curl_url();
    char *host = NULL, *port = NULL, *out = NULL;

    if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK && curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK && asprintf(&out, "%s:%s", host, port) < 0)
        out = NULL;
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
    return out;
}

static int send_request(struct follower *w, const char *key, struct err *e)
{
    const struct log_follow *f = w->f;
    struct buf b = BUF_INIT(256 * 1024);
    char *host = authority(f->server);
    int64_t from = w->p->last_ns ? w->p->last_ns + 1 : f->from_ns;
    int rc;

    buf_printf(&b, "GET /loki/api/v1/tail?limit=%" PRId64 "&start=%" PRId64 "&query=", w->p->last_ns ? 5000 : f->limit, from);
    client_escape(&b, f->query);
    buf_printf(&b, " HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: %s\r\nX-Loki-Response-Encoding-Flags: categorize-labels\r\n\r\n", host ? host : "", key);
    rc = !host || buf_failed(&b) ? err_set(e, ERR_NOMEM, "logs: no memory for a request") : send_all(w, buf_view(&b), e);
    free(host);
    buf_free(&b);
    return rc;
}

/* The value of a header of the answer. */
static struct str header(struct str head, const char *name)
{
    while (head.p && head.n) {
        struct str line = str_cut(&head, '\n'), key = str_cut(&line, ':');

        if (line.p && str_ieq(key, str_of(name))) {
            while (line.n && (line.p[line.n - 1] == '\r' || line.p[line.n - 1] == '\n'))
                line.n--;
            return str_trim(line);
        }
    }
    return STR_NULL;
}

/* The server's own words: the body, as far as it has come. */
static int refused(struct str head, struct str body, struct err *e)
{
    while (body.n && (body.p[body.n - 1] == '\n' || body.p[body.n - 1] == '\r'))
        body.n--;
    if (body.n && body.p[0] != '<')
        return err_set(e, ERR_INVALID, "%.*s", (int)(body.n > 400 ? 400 : body.n), body.p);
    return err_set(e, ERR_INVALID, "logs: the server answers \"%.*s\" (is this a Vigla server?)",
                   (int)strcspn(head.p, "\r\n"), head.p);
}

/* Reads the head; what stands behind it are frames already. */
static int read_head(struct follower *w, const char *key, struct err *e)
{
    char bytes[4096], accept[WEBSOCKET_KEY_TEXT];
    struct str head, rest;
    ptrdiff_t end;
    size_t n;
    int rc = 0;

    while ((end = str_find(buf_view(&w->head), STR("\r\n\r\n"))) < 0) {
        rc = receive(w, bytes, sizeof(bytes), &n, e);
        if (rc < 0)
            return rc;
        buf_put(&w->head, bytes, n);
        if (buf_failed(&w->head))
            return err_set(e, ERR_LIMIT, "logs: the answer's head is too long");
    }
    head = (struct str){ w->head.p, (size_t)end + 2 };
    rest = str_from(buf_view(&w->head), (size_t)end + 4);
    if (!str_starts(head, STR("HTTP/1.1 101 ")))
        return refused(head, rest, e);
    websocket_accept(str_of(key), accept);
    if (!str_eqz(header(head, "Sec-WebSocket-Accept"), accept))
        return err_set(e, ERR_INVALID, "logs: the server's handshake is not the answer to ours");
    return websocket_feed(&w->in, rest.p, rest.n) < 0 ? err_set(e, ERR_NOMEM, "logs: no memory") : 0;
}

static int shake_hands(struct follower *w, struct err *e)
{
    char key[WEBSOCKET_KEY_TEXT];
    int rc;

    make_key(key);
    rc = send_request(w, key, e);
    return rc < 0 ? rc : read_head(w, key, e);
}

/* --- messages ---------------------------------------------------------------------------------------------------- */

static int pong(struct follower *w, struct str payload, struct err *e)
{
    uint8_t mask[4];
    struct buf b = BUF_INIT(256);
    int rc;

    rand_bytes(mask, sizeof(mask));
    websocket_put(&b, WEBSOCKET_PONG, payload, mask);
    rc = send_all(w, buf_view(&b), e);
    buf_free(&b);
    return rc;
}

static int print_message(struct follower *w, struct str text, struct err *e)
{
    json_t *body = json_loadb(text.p, text.n, 0, NULL);
    size_t dropped = json_array_size(json_object_get(body, "dropped_entries"));
    int rc;

    if (!body)
        return err_set(e, ERR_PARSE, "logs: the server's message is no JSON");
    rc = logs_print(w->p, json_object_get(body, "streams"), e);
    if (dropped)
        fprintf(stderr, "vigla: logs: the server has dropped %zu lines: they came faster than they were taken\n", dropped);
    json_decref(body);
    return rc;
}

static int take_message(struct follower *w, const struct websocket_message *m, struct err *e)
{
    unsigned code = m->payload.n >= 2 ? (unsigned)(uint8_t)m->payload.p[0] << 8 | (uint8_t)m->payload.p[1] : WEBSOCKET_NORMAL;
    struct str why = str_from(m->payload, 2);

    switch (m->op) {
    case WEBSOCKET_TEXT:
        return print_message(w, m->payload, e);
    case WEBSOCKET_PING:
        return pong(w, m->payload, e);
    case WEBSOCKET_CLOSE:
        if (code == WEBSOCKET_FAILED)
            return err_set(e, ERR_INVALID, "%.*s", (int)(why.n > 120 ? 120 : why.n), why.p);
        return lost(e, "the server has closed the connection");
    default:
        return 0;
    }
}

static int read_messages(struct follower *w, struct err *e)
{
    char bytes[16384];
    size_t n;
    int rc = 0;

    while (rc >= 0) {
        struct websocket_message m;
        unsigned code;

        while ((rc = websocket_next(&w->in, &m, &code, e)) > 0)
            if ((rc = take_message(w, &m, e)) < 0)
                return rc;
        if (rc == 0)
            rc = receive(w, bytes, sizeof(bytes), &n, e);
        if (rc == 0 && websocket_feed(&w->in, bytes, n) < 0)
            rc = err_set(e, ERR_NOMEM, "logs: no memory for a message");
    }
    return rc;
}

/* --- connections ------------------------------------------------------------------------------------------------- */

static int connect_to(struct follower *w, struct err *e)
{
    CURLcode rc;

    curl_easy_setopt(w->curl, CURLOPT_URL, w->f->server);
    curl_easy_setopt(w->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(w->curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(w->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(w->curl, CURLOPT_CONNECTTIMEOUT, 10L);
    curl_easy_setopt(w->curl, CURLOPT_CONNECT_ONLY, 1L);
    rc = curl_easy_perform(w->curl);
    if (rc == CURLE_OK && curl_easy_getinfo(w->curl, CURLINFO_ACTIVESOCKET, &w->fd) == CURLE_OK)
        return 0;
    return err_set(e, ERR_CLOSED, "%s: no server answers there (start one with: vigla serve --data DIR)", w->f->server);
}

/* One connection, to its end. *heard: the handshake was well. */
static int follow_once(const struct log_follow *f, struct log_printer *p, bool *heard, struct err *e)
{
    struct follower w = { .f = f, .p = p, .curl = curl_easy_init(), .head = BUF_INIT(LARGEST_HEAD) };
    int rc;

    *heard = false;
    websocket_reader_init(&w.in, false, LARGEST_MESSAGE);
    rc = w.curl ? connect_to(&w, e) : err_set(e, ERR_NOMEM, "logs: no memory for a connection");
    if (rc == 0)
        rc = shake_hands(&w, e);
    *heard = rc == 0;
    if (rc == 0)
        rc = read_messages(&w, e);
    curl_easy_cleanup(w.curl);
    websocket_reader_free(&w.in);
    buf_free(&w.head);
    return rc;
}

int logs_follow(const struct log_follow *f, struct log_printer *p, struct err *e)
{
    unsigned pause_ms = FIRST_PAUSE_MS;
    bool ever = false, heard;
    int rc;

    for (;;) {
        rc = follow_once(f, p, &heard, e);
        ever |= heard;
        if (rc != ERR_CLOSED || !ever)
            return rc;
        if (heard) {
            pause_ms = FIRST_PAUSE_MS;
            fprintf(stderr, "vigla: %s: trying again\n", e->msg);
        }
        usleep(pause_ms * 1000);
        pause_ms = pause_ms * 2 < LONGEST_PAUSE_MS ? pause_ms * 2 : LONGEST_PAUSE_MS;
    }
}
