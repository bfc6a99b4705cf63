/* policy-internal.h: one condition's values against one fact. */
#ifndef PROXY_POLICY_INTERNAL_H
#define PROXY_POLICY_INTERNAL_H

#include "proxy/policy.h"

/* A text by a value of any kind but TEMPLATE. A PRESENT one wants at least a byte: Istio makes ".+" of "*". */
bool policy_text_is(const struct policy_value *v, struct str s);
/* Without regard to ASCII case; the value's is lower. */
bool policy_host_is(const struct policy_value *v, struct str host);
/* A path, by a TEMPLATE, too. */
bool policy_path_is(const struct policy_value *v, struct str path);
/* "A/B" without putting it together. */
bool policy_pair_is(const struct policy_value *v, struct str a, struct str b);
/* A header; its fields count as one, joined by commas. PRESENT: it is there, be it empty. */
bool policy_header_is(const struct policy_value *v, const struct header_source *headers, struct str name);
/* A token's issuer and subject. */
bool policy_request_principal_is(const struct policy_value *v, const struct jwt *t);
/* A claim: a text, or one of a list of texts; `words`: one of a text's words. */
bool policy_claim_is(const struct policy_value *v, const json_t *claim, bool words);
bool policy_net_has(const struct policy_net *net, const struct policy_ip *ip);

#endif
