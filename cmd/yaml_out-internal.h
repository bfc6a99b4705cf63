/* yaml_out-internal.h: an answer's JSON as YAML, for -o yaml. */
#ifndef CMD_YAML_OUT_INTERNAL_H
#define CMD_YAML_OUT_INTERNAL_H

#include "base/buf.h"

#include <jansson.h>

/* Block style; texts are quoted as JSON has them, which YAML reads the same way. No memory shows in buf_failed. */
void yaml_out(struct buf *b, const json_t *value);

#endif
