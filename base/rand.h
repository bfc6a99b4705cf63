/* rand.h: random bits.
 *
 * rand_bytes is the kernel's generator, for identities and keys. struct rng is a fast one for load balancing,
 * sampling and ids that need not be secret: one per thread, never shared. */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

void rand_bytes(void *p, size_t n);

struct rng {
    uint64_t s[4];
};

void rng_seed(struct rng *r);
uint64_t rng_next(struct rng *r);                   /* xoshiro256** (Blackman, Vigna 2018) */
uint64_t rng_below(struct rng *r, uint64_t n);      /* uniform in [0, n), n > 0 */
void rng_uuid4(struct rng *r, char out[37]);        /* "84961386-6d84-4929-98bd-c5aee93b5c88" */
void rng_hex(struct rng *r, char *out, size_t n);   /* n hexadecimal digits and a NUL, not all zero */

#endif
