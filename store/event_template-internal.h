/* event_template-internal.h: texts that differ in numbers alone, as templates and numbers: paths with ids, addresses
 * with ports, messages of a program. */
#ifndef STORE_EVENT_TEMPLATE_INTERNAL_H
#define STORE_EVENT_TEMPLATE_INTERNAL_H

#include "base/buf.h"
#include "store/event_column-internal.h"

/* A hole in a template is two bytes: TEMPLATE_HOLE, and how many digits the number is padded to with zeros (0: as it
 * is). Texts that have the first byte themselves are no templates. */
enum { TEMPLATE_HOLE = 0, TEMPLATE_DIGITS = 18 /* of a number, at most */, TEMPLATE_HOLES = 24 /* in one text */ };

struct event_templates {
    const union event_value *values; /* each once; n of them */
    size_t n;
    const uint16_t *codes;           /* of each row */
    uint8_t *holes;                  /* of each template */
    size_t most_holes;
    struct buf numbers;              /* uint64_t, row by row, each row's from left to right */
    struct arena texts;              /* what values[] point to */
    struct buf scratch;              /* of one text's template */
};

/* Of v[0..n), through the coder, whose dictionary is used. 1: there are few templates; 0: there are not; ERR_NOMEM.
 * event_templates_fini is due in any case. */
int event_templates_make(struct event_templates *t, const union event_value *v, size_t n, struct event_coder *c,
                         struct err *e);
void event_templates_fini(struct event_templates *t);

/* --- reading --- */

/* Digits of the largest number of so many bytes, at most 8. */
uint8_t event_template_digits(size_t width);
/* How many holes, which may be up to `holes`; SIZE_MAX: that is no template. *most: bytes of a text whose numbers have
 * up to digits[0..holes) digits. */
size_t event_template_holes(struct str template, const uint8_t *digits, size_t holes, size_t *most);
/* Writes the text; returns its end. numbers[]: as many as there are holes. */
char *event_template_print(struct str template, const uint64_t *numbers, char *to);

#endif
