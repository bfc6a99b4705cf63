/* control.h: the server's configuration by long poll (docs/protocols.md, "Configuration"). On the main loop. */
#ifndef PROXY_CONTROL_H
#define PROXY_CONTROL_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

struct control;
struct event_base;

struct control_options {
    const char *url;       /* "http://127.0.0.1:20001" */
    const char *node;      /* "POD.NAMESPACE" */
    /* A version is there. 0: it is in force; else it is refused with e's words, and the server hears them. */
    int (*apply)(void *arg, uint64_t version, struct str body, struct err *e);
    /* An attempt has failed; the next one follows by itself. May be NULL. */
    void (*away)(void *arg, const char *why);
    void *arg;
    uint64_t version;      /* in force from the start; 0: none */
};

/* Copies the options; starts asking with the loop. NULL: ERR_PARSE (the URL), ERR_NOMEM. */
struct control *control_start(struct event_base *base, const struct control_options *o, struct err *e);
void control_stop(struct control *c);

#endif
