#include "graph/graph-internal.h"

#include <openssl/sha.h>

void graph_sha256(char out[ID_TEXT], struct str s)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char sum[SHA256_DIGEST_LENGTH];

    SHA256((const unsigned char *)(s.p ? s.p : ""), s.n, sum);
    for (size_t i = 0; i < sizeof(sum); i++) {
        out[2 * i] = digits[sum[i] >> 4];
        out[2 * i + 1] = digits[sum[i] & 15];
    }
    out[2 * sizeof(sum)] = '\0';
}
