/* err.h: a code for programs, a sentence for people.
 *
 * 0 is success, ERR_* are negative. Who finds an error says what, where and what would be right; each layer above
 * adds its own where with err_wrap. Functions that take a `struct err *` accept NULL. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

enum {
    ERR_NOMEM = -1,       /* an allocation failed, or an arena or buffer reached its ceiling for no fault of the input */
    ERR_IO = -2,          /* the operating system refused: disk, file, socket */
    ERR_CORRUPT = -3,     /* our own stored bytes are not what was written */
    ERR_PARSE = -4,       /* input that does not follow its grammar */
    ERR_INVALID = -5,     /* input that parses and makes no sense */
    ERR_RANGE = -6,       /* a number, time or length outside of what is allowed */
    ERR_LIMIT = -7,       /* well formed, but over a configured limit */
    ERR_NOTFOUND = -8,    /* nothing by that name */
    ERR_CONFLICT = -9,    /* somebody else holds it, or it changed meanwhile */
    ERR_BUSY = -10,       /* a bounded queue is full: try again later */
    ERR_TIMEOUT = -11,
    ERR_CLOSED = -12,     /* the object is shutting down */
    ERR_UNSUPPORTED = -13, /* valid, and not offered here */
    ERR_FULL = -14         /* no space is left on the disk: nothing has changed, try again later */
};

struct err {
    int code;
    char msg[512];
};

#define ERR_INIT { 0, "" }

/* Both return the code. err_wrap puts "where: " before the message and keeps the code. Long texts are cut, never overrun. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "ERR_IO" and so on; never NULL. */
const char *err_name(int code);

#endif
