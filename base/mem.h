/* mem.h: the heap, through one door, so that a test can make the n-th allocation fail.
 *
 * mem_* behave as malloc and friends: NULL on failure, never abort. Thread-safe. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t n) __attribute__((malloc, alloc_size(1), warn_unused_result));
void *mem_zalloc(size_t n) __attribute__((malloc, alloc_size(1), warn_unused_result));
void *mem_realloc(void *p, size_t n) __attribute__((alloc_size(2), warn_unused_result));
void mem_free(void *p);
char *mem_strdup(const char *s) __attribute__((malloc, warn_unused_result));

/* Grows *p, an array of items of `size` bytes with room for *cap, to at least `need` items (doubling).
 * Returns 0 or ERR_NOMEM; on failure *p and *cap are as before. */
int mem_grow(void *p, size_t *cap, size_t need, size_t size) __attribute__((warn_unused_result));

/* For a server, at its start: memory of requests of up to some MiB stays in the heap and is used again. (Taken from the
 * system each time it costs a page fault for every 4 KiB: half the CPU of taking in remote writes.) */
void mem_keep(void);
/* All of p[0..n) will be written: the system may give large pages for it, which cost fewer faults and misses. */
void mem_expect(void *p, size_t n);
/* And now and then: what the heap keeps goes back to the system when it is more than `much` bytes. */
void mem_give_back(size_t much);

/* Tests only: the n-th allocation from now fails (n >= 1), once; 0 switches it off. Process-wide. */
void mem_fail_at(long n);
/* Whether the armed failure has happened since mem_fail_at. */
int mem_has_failed(void);

#endif
