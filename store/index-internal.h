/* index-internal.h: label sets and their numbers: from a key to a series, from matchers to series, from a series to its
 * labels.
 *
 * Series are numbered from 1 as they come; a number is never used again. The committer alone changes an index, holding
 * the store's lock for writing; readers hold it for reading (what they build lazily is guarded inside). Texts stay where
 * they are until index_free, so views handed out under the lock may be used without it.
 *
 * Memory  A million series of 17 labels must fit in 130 MB: names, values and pairs are interned, a series is its pairs'
 *         numbers, and postings are built only for label names that some query has asked for.
 * Log     What was added since a mark is written as one record; the records replayed in order make the same index
 *         (same numbers of series and of texts). Format in index_log.c. */
#ifndef STORE_INDEX_INTERNAL_H
#define STORE_INDEX_INTERNAL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/hash128.h"
#include "store/matcher.h"

enum { INDEX_MAX_LABELS = 255 };

/* A label set's name for machines: XXH3's 128 bits, seeded by the data directory, over its canonical bytes, which are
 * remote write's: for each label, sorted by name, 0x0a LENGTH (0x0a LENGTH name 0x12 LENGTH value), lengths as varints.
 * Two sets with one key are taken for the same (the chance for a million series is 2^-89). */
struct index_key {
    uint64_t lo, hi;
};

void labels_canonical(struct buf *out, struct labels l);
struct index_key index_key(const struct hash128_key *key, struct str canonical);

struct series_index;

struct series_index *index_new(void); /* held once, for the caller; NULL: no memory */
/* Who holds it may use its texts, and read it as long as nobody changes it, whatever takes its place meanwhile. */
void index_hold(struct series_index *ix);
void index_free(struct series_index *ix); /* lets go of it; the last one frees it. NULL is fine */

/* Fetches what index_find will look at first: for keys known some hundred nanoseconds ahead. */
void index_prefetch(const struct series_index *ix, struct index_key key);
/* 0: not there. */
uint32_t index_find(const struct series_index *ix, struct index_key key);
/* A second key for a series (a sender's own spelling of its labels); not logged. At most as many as there are series,
 * further ones are forgotten. */
void index_alias(struct series_index *ix, struct index_key key, uint32_t id);
/* The new series' number. `l` is normalised, at most INDEX_MAX_LABELS, and not there yet. 0: ERR_NOMEM, ERR_LIMIT
 * (no number is left), and nothing has changed. */
uint32_t index_add(struct series_index *ix, struct index_key key, struct labels l, struct err *e);
/* Takes series out; unknown numbers are ignored. Cannot fail. */
void index_remove(struct series_index *ix, const uint32_t *ids, size_t n);

/* The series below `end` that are not there yet will never be: their numbers are passed over, at no cost. ERR_NOMEM. */
int index_skip(struct series_index *ix, uint32_t end);

size_t index_count(const struct series_index *ix);   /* series */
size_t index_dead(const struct series_index *ix);    /* series that are gone and still take memory */
uint32_t index_end(const struct series_index *ix);   /* one past the highest number ever given */
bool index_has(const struct series_index *ix, uint32_t id);
size_t index_bytes(const struct series_index *ix);   /* memory, for /metrics and limits */

struct index_key index_key_of(const struct series_index *ix, uint32_t id); /* of a series that is there */
/* The labels of a series that is there. The array lives in `a`, the texts in the index. v NULL: the arena is full. */
struct labels index_labels(const struct series_index *ix, uint32_t id, struct arena *a);

/* The order of series in pages: by name, then by the labels without le, then by le as a number. Never changes for a
 * label set, is the same in every process, and may be the same for different sets (their numbers then decide). */
uint64_t index_order(const struct series_index *ix, uint32_t id);
/* Sorts ids[0..n) that way. 0 or ERR_NOMEM. */
int index_sort(const struct series_index *ix, uint32_t *ids, size_t n);

/* The series that match, by rising number, in `a`. ERR_NOMEM (also: the arena's ceiling). Each regular expression is
 * tried once for each value of its name, at most. */
int index_select(struct series_index *ix, const struct matcher *m, size_t n, struct arena *a, uint32_t **ids,
                 size_t *count);

/* Looks for the values of a name, or for names (when `name` is STR_NULL), that occur in series that count. Those may be
 * among ids[0..n), or among all (ids NULL). Lives in `a`, and must not outlive the index. NULL: no memory. */
struct index_list *index_list_new(struct series_index *ix, struct str name, const uint32_t *ids, size_t n,
                                  struct arena *a);
/* Asks `counts` about series, as long as that may bring up something new; NULL: all count, and nothing is walked. What
 * is found adds up over calls. 1: something has not been found yet; 0: everything has; ERR_NOMEM. */
int index_list_look(struct index_list *l, bool (*counts)(const void *arg, uint32_t id), const void *arg);
/* What was found, sorted: array in `a`, texts in the index. ERR_NOMEM. */
int index_list_take(struct index_list *l, struct arena *a, struct str **texts, size_t *n);

/* --- the log --- */

/* Where an index stands, to write down or take back what comes after. */
struct index_mark {
    uint32_t series, names, pairs; /* the next series' number; names and pairs that are there */
    uint32_t records;              /* where their labels and texts end */
    size_t texts;
};
struct index_mark index_mark(const struct series_index *ix);
/* Takes back every series and text added since the mark (aliases to them too). Cannot fail. */
void index_rollback(struct series_index *ix, struct index_mark mark);
/* Appends the record of what was added since the mark. A failure is out's. */
void index_log(const struct series_index *ix, struct index_mark mark, struct buf *out);
/* Appends the record of a removal, and of a skip. */
void index_log_removal(const uint32_t *ids, size_t n, struct buf *out);
void index_log_skip(uint32_t end, struct buf *out);
/* Replays one record. ERR_CORRUPT (checksum, or it does not follow on what is there), ERR_NOMEM. */
int index_replay(struct series_index *ix, struct str record, struct err *e);

#endif
