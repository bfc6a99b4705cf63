#include "collector/push.h"

#include <string.h>

void push_refuse(struct push_outcome *o, uint64_t n, const struct err *why)
{
    _Static_assert(sizeof(o->why) >= sizeof(why->msg), "a reason fits");

    if (o->refused == 0)
        memcpy(o->why, why->msg, sizeof(why->msg));
    o->refused += n;
}
