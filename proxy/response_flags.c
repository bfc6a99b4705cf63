#include "proxy/response_flags.h"

static const struct str names[] = {
#define RESPONSE_FLAG_NAME(f) STR_INIT(#f),
    RESPONSE_FLAGS(RESPONSE_FLAG_NAME)
#undef RESPONSE_FLAG_NAME
};

static const struct str long_names[sizeof(names) / sizeof(names[0])] = {
    [FLAG_BIT_LH] = STR_INIT("FailedLocalHealthCheck"),
    [FLAG_BIT_UH] = STR_INIT("NoHealthyUpstream"),
    [FLAG_BIT_UT] = STR_INIT("UpstreamRequestTimeout"),
    [FLAG_BIT_LR] = STR_INIT("LocalReset"),
    [FLAG_BIT_UR] = STR_INIT("UpstreamRemoteReset"),
    [FLAG_BIT_UF] = STR_INIT("UpstreamConnectionFailure"),
    [FLAG_BIT_UC] = STR_INIT("UpstreamConnectionTermination"),
    [FLAG_BIT_UO] = STR_INIT("UpstreamOverflow"),
    [FLAG_BIT_NR] = STR_INIT("NoRouteFound"),
    [FLAG_BIT_DI] = STR_INIT("DelayInjected"),
    [FLAG_BIT_FI] = STR_INIT("FaultInjected"),
    [FLAG_BIT_RL] = STR_INIT("RateLimited"),
    [FLAG_BIT_UAEX] = STR_INIT("UnauthorizedExternalService"),
    [FLAG_BIT_RLSE] = STR_INIT("RateLimitServiceError"),
    [FLAG_BIT_DC] = STR_INIT("DownstreamConnectionTermination"),
    [FLAG_BIT_URX] = STR_INIT("UpstreamRetryLimitExceeded"),
    [FLAG_BIT_SI] = STR_INIT("StreamIdleTimeout"),
    [FLAG_BIT_IH] = STR_INIT("InvalidEnvoyRequestHeaders"),
    [FLAG_BIT_DPE] = STR_INIT("DownstreamProtocolError"),
    [FLAG_BIT_UMSDR] = STR_INIT("UpstreamMaxStreamDurationReached"),
    [FLAG_BIT_RFCF] = STR_INIT("ResponseFromCacheFilter"),
    [FLAG_BIT_NFCF] = STR_INIT("NoFilterConfigFound"),
    [FLAG_BIT_DT] = STR_INIT("DurationTimeout"),
    [FLAG_BIT_UPE] = STR_INIT("UpstreamProtocolError"),
    [FLAG_BIT_NC] = STR_INIT("NoClusterFound"),
    [FLAG_BIT_OM] = STR_INIT("OverloadManagerTerminated"),
    [FLAG_BIT_DF] = STR_INIT("DnsResolutionFailed"),
};

struct str response_flag_name(struct str letters)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (str_eq(names[i], letters) && long_names[i].n)
            return long_names[i];
    return letters;
}

struct str response_flags_text(char out[RESPONSE_FLAGS_TEXT], unsigned flags)
{
    size_t n = 0;

    for (size_t i = 0; flags && i < sizeof(names) / sizeof(names[0]); i++) {
        if (!(flags & 1u << i))
            continue;
        if (n)
            out[n++] = ',';
        memcpy(out + n, names[i].p, names[i].n);
        n += names[i].n;
    }
    return (struct str){ out, n };
}
