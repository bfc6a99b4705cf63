/* pbtext.h: protobuf messages written by field number, for tables in tests: 1{3:'host' 5:7 6:1.5d} 9:-1 */
#ifndef TESTS_UNIT_COLLECTOR_PBTEXT_H
#define TESTS_UNIT_COLLECTOR_PBTEXT_H

#include "base/pb.h"

#include <stdlib.h>

/* NUMBER:INTEGER is a varint, NUMBER:REALd a double, NUMBER:'TEXT' a string, NUMBER{…} a message. Returns what stands behind
 * the end of the message, "}" or nothing. */
static inline const char *pbtext(struct buf *out, const char *s)
{
    for (;;) {
        uint32_t number;
        char *end;

        s += strspn(s, " \n");
        if (*s == '\0' || *s == '}')
            return s;
        number = (uint32_t)strtoul(s, &end, 10);
        if (*end == '{') {
            size_t mark = pb_open(out, number);

            s = pbtext(out, end + 1) + 1;
            pb_close(out, mark);
        } else if (end[1] == '\'') {
            const char *to = strchr(end + 2, '\'');

            pb_put_str(out, number, (struct str){ end + 2, (size_t)(to - end - 2) });
            s = to + 1;
        } else {
            const char *from = end + 1;
            double v = strtod(from, &end);

            if (*end == 'd') {
                pb_put_double(out, number, v);
                end++;
            } else {
                pb_put_varint(out, number, (uint64_t)strtoll(from, &end, 10));
            }
            s = end;
        }
    }
}

#endif
