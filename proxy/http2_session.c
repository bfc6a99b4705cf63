/* http2_session.c: a session's bounds, and its way to the socket. */
#include "proxy/http2-internal.h"

/* Debian's nghttp2 1.52 counts resets (CVE-2023-44487) and CONTINUATION frames (CVE-2024-28182) by itself; what else
 * may come as a flood base/http2_credit.h counts. */
enum { MOST_SETTINGS = 32, MOST_ACKS = 100 };

static nghttp2_option *make_options(void)
{
    nghttp2_option *o;

    if (nghttp2_option_new(&o) != 0)
        return NULL;
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_closed_streams(o, 1);
    nghttp2_option_set_max_settings(o, MOST_SETTINGS);
    nghttp2_option_set_max_outbound_ack(o, MOST_ACKS);
    nghttp2_option_set_peer_max_concurrent_streams(o, HTTP2_MOST_STREAMS);
    nghttp2_option_set_max_deflate_dynamic_table_size(o, 4096);
    return o;
}

static int say_settings(nghttp2_session *session, bool server)
{
    nghttp2_settings_entry settings[4] = {
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_WINDOW },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP_MOST_HEAD },
    };
    size_t n = 2;
    int rc;

    if (server) {
        settings[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, HTTP2_MOST_STREAMS };
        settings[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1 };
    } else {
        settings[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 };
    }
    rc = nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, n);

    return rc ? rc : nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, HTTP2_CONNECTION_WINDOW);
}

int http2_open(nghttp2_session **out, bool server, nghttp2_session_callbacks *callbacks, void *user)
{
    nghttp2_option *o = make_options();
    int rc = NGHTTP2_ERR_NOMEM;

    if (o && callbacks)
        rc = server ? nghttp2_session_server_new2(out, callbacks, user, o) :
                      nghttp2_session_client_new2(out, callbacks, user, o);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(o);
    return rc ? rc : say_settings(*out, server);
}

int http2_fill(nghttp2_session *session, struct conn *c)
{
    while (!conn_is_full(c)) {
        const uint8_t *p;
        ssize_t n = nghttp2_session_mem_send(session, &p);

        if (n <= 0)
            return (int)n;
        buf_put(conn_out(c), p, (size_t)n);
    }
    return 0;
}
