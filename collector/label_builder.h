/* label_builder.h: a set of labels on its way to what it will be: targets and scraped series before relabelling ends.
 *
 * Few labels, so all is linear. Strings are views; what is added must live as long as the set. Not thread-safe. */
#ifndef COLLECTOR_LABEL_BUILDER_H
#define COLLECTOR_LABEL_BUILDER_H

#include "base/arena.h"
#include "base/err.h"
#include "base/labels.h"

struct label_builder {
    struct arena *arena; /* of the array, and of what relabelling makes */
    struct label *v;     /* no name twice, no empty value, in no order */
    size_t n, cap;
};

#define LABEL_BUILDER_INIT(a) { (a), NULL, 0, 0 }

/* STR_NULL when absent. */
struct str label_builder_get(const struct label_builder *b, struct str name);
/* Sets, or takes away when the value is empty. 0 or ERR_NOMEM. */
int label_builder_set(struct label_builder *b, struct str name, struct str value) __attribute__((warn_unused_result));
/* Sets where the name is not there yet. */
int label_builder_default(struct label_builder *b, struct str name, struct str value)
    __attribute__((warn_unused_result));
void label_builder_del(struct label_builder *b, struct str name);
/* Takes away all whose name begins so. */
void label_builder_del_prefix(struct label_builder *b, struct str prefix);
/* Sorts by name, and shows the set; valid until the next change. */
struct labels label_builder_view(struct label_builder *b);

#endif
