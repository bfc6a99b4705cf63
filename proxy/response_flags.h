/* response_flags.h: why a request or connection went as it did, in Envoy's letters. */
#ifndef PROXY_RESPONSE_FLAGS_H
#define PROXY_RESPONSE_FLAGS_H

#include "base/str.h"

/* In the order in which Envoy joins them. */
#define RESPONSE_FLAGS(X) \
    X(LH) X(UH) X(UT) X(LR) X(UR) X(UF) X(UC) X(UO) X(NR) X(DI) X(FI) X(RL) X(UAEX) X(RLSE) X(DC) X(URX) X(SI) X(IH) \
    X(DPE) X(UMSDR) X(RFCF) X(NFCF) X(DT) X(UPE) X(NC) X(OM) X(DF)

enum response_flag_bit {
#define RESPONSE_FLAG_BIT(f) FLAG_BIT_##f,
    RESPONSE_FLAGS(RESPONSE_FLAG_BIT)
#undef RESPONSE_FLAG_BIT
};

enum response_flag {
#define RESPONSE_FLAG(f) FLAG_##f = 1 << FLAG_BIT_##f,
    RESPONSE_FLAGS(RESPONSE_FLAG)
#undef RESPONSE_FLAG
};

enum { RESPONSE_FLAGS_TEXT = 128 };

/* "UF,URX"; empty when none is set. */
struct str response_flags_text(char out[RESPONSE_FLAGS_TEXT], unsigned flags);
/* Envoy's name for one in letters: "UF" is "UpstreamConnectionFailure". Letters that are none are their own name. */
struct str response_flag_name(struct str letters);

#endif
