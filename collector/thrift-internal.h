/* thrift-internal.h: Thrift's binary protocol, read field by field without a tree.
 *
 * Source: github.com/apache/thrift doc/specs/thrift-binary-protocol.md. Numbers are big-endian; a struct is fields up to a
 * stop byte. Whoever descends bounds the depth. Functions that return int give 0 or ERR_PARSE with the place. */
#ifndef COLLECTOR_THRIFT_INTERNAL_H
#define COLLECTOR_THRIFT_INTERNAL_H

#include "base/err.h"
#include "base/str.h"

enum thrift_type {
    THRIFT_STOP = 0, THRIFT_BOOL = 2, THRIFT_I8 = 3, THRIFT_DOUBLE = 4, THRIFT_I16 = 6, THRIFT_I32 = 8, THRIFT_I64 = 10,
    THRIFT_STRING = 11, THRIFT_STRUCT = 12, THRIFT_MAP = 13, THRIFT_SET = 14, THRIFT_LIST = 15
};

struct thrift_reader {
    const uint8_t *start, *p, *end;
};

struct thrift_field {
    uint8_t type;
    int16_t id;
};

struct thrift_reader thrift_reader(struct str message);
/* 1: *f is the head of the next field, whose value follows. 0: the struct has ended. ERR_PARSE. */
int thrift_next(struct thrift_reader *r, struct thrift_field *f, struct err *e);
/* The value of a BOOL, I8, I16, I32 or I64; of a DOUBLE its bits. */
int thrift_whole(struct thrift_reader *r, uint8_t type, int64_t *v, struct err *e);
/* A view of the bytes. */
int thrift_string(struct thrift_reader *r, struct str *v, struct err *e);
/* The head of a list or set: its elements follow. Never more than there are bytes left. */
int thrift_list(struct thrift_reader *r, uint8_t *type, uint32_t *n, struct err *e);
/* Passes over one value, at most `depth` levels deep. */
int thrift_skip(struct thrift_reader *r, uint8_t type, unsigned depth, struct err *e);
/* ERR_PARSE: "thrift: byte 17: " and what would be right. */
int thrift_fail(const struct thrift_reader *r, struct err *e, const char *what);

#endif
