/* http2_credit.c: which frames bring nothing, and how the credit for them is reckoned. */
#include "base/http2_credit.h"

enum { CREDIT_MOST = 4000, CREDIT_PER_SECOND = 1000 };

static bool brings_nothing(const nghttp2_frame_hd *frame)
{
    switch (frame->type) {
    case NGHTTP2_DATA:
        return frame->length == 0 && !(frame->flags & NGHTTP2_FLAG_END_STREAM);
    case NGHTTP2_PING:
    case NGHTTP2_SETTINGS:
    case NGHTTP2_PRIORITY:
    case NGHTTP2_RST_STREAM:
    case NGHTTP2_WINDOW_UPDATE:
        return true;
    default:
        return false;
    }
}

void http2_credit_earn(struct http2_credit *k, double frames)
{
    k->left = k->left + frames < CREDIT_MOST ? k->left + frames : CREDIT_MOST;
}

bool http2_credit_pay(struct http2_credit *k, const nghttp2_frame_hd *frame, int64_t now_ns)
{
    if (!brings_nothing(frame))
        return true;
    if (k->at_ns == 0)
        k->left = CREDIT_MOST;
    else
        http2_credit_earn(k, (double)(now_ns - k->at_ns) * CREDIT_PER_SECOND / 1e9);
    k->at_ns = now_ns;
    k->left -= 1;
    return k->left >= 0;
}
