/* tail-internal.h: the tail thread's parts: tail_find.c finds files, tail_file.c reads one, tail.c is the loop.
 *
 * A file is known by what it is: device, inode and its first line. (An inode alone is given to the next file once a
 * rotated one has been compressed and removed; and a file that was truncated is the same inode with other lines.)
 * That is the name of a sender in the store, and how far it has been read is the sender's number:
 *
 *     sender   tail:DEVICE:INODE:HASH of the first line
 *     number   round << 48 | offset behind the last line stored       (round: how often it began anew with that line)
 *
 * A file's states, and what moves it:
 *
 *     NAMELESS ──first whole line──▶ IDLE ──lines: file_read──▶ STORING ──committed──▶ IDLE
 *        ▲                            │                            │ refused: IDLE, and read again from where it was
 *        └──── truncated, rewritten ──┘
 *
 * One batch of a file is under way at a time: were a second one committed after the first was refused, the first
 * would count as stored. */
#ifndef COLLECTOR_TAIL_INTERNAL_H
#define COLLECTOR_TAIL_INTERNAL_H

#include "collector/tail.h"
#include "collector/tail_config-internal.h"

#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

enum {
    TAIL_MOST_FILES = 1000,
    TAIL_MOST_STORING = 16,      /* batches under way */
    TAIL_CHUNK = 1 << 20,        /* bytes read at a time */
    TAIL_ROWS = 5000,            /* of a batch */
    TAIL_FIRST = 1024,           /* bytes of the first line that tell files apart */
    TAIL_LOOK_MS = 1000,         /* without being told */
    TAIL_SOON_MS = 20,           /* after inotify's word: more will come */
    TAIL_AGAIN_MS = 100,         /* after the store refused */
    TAIL_KEEP_MS = 10 * 60 * 1000 /* a rotated file that stays as it is */
};

enum tail_state { TAIL_NAMELESS, TAIL_IDLE, TAIL_STORING };

struct tail_batch;

struct tail_file {
    struct tail *owner;
    struct tail_file *next;
    const struct tail_entry *entry;
    char *path;                  /* where it was seen last; owned */
    dev_t device;
    ino_t inode;
    int fd;
    enum tail_state state;
    char sender[96];
    uint64_t first_hash;
    size_t first_n;              /* bytes of the first line that are hashed */
    uint64_t round;
    off_t offset;                /* behind the last line stored */
    off_t looked;                /* up to here there is no end of the line that begins at `offset` */
    struct timespec written;     /* when, as of the last look */
    bool seen;                   /* by the last search */
    bool at_end;                 /* met for the first time: begin at its end */
    bool mark;                   /* that it began at its end is yet to be stored */
    bool anew;                   /* it was truncated: what is stored of its name is of before */
    bool more;                   /* there was more than fits into a batch */
    off_t size;                  /* at the last search, when it has lost its name, */
    int64_t quiet_since_ms;      /* and since when it has been that; monotonic, 0: it has not */
};

struct tail_batch {
    struct tail_file *file;
    struct arena arena;
    struct batch batch;
    struct str path;
    off_t to;                    /* the file's offset when it is committed */
    size_t lines, cut;
    int rc;
    struct err why;
    struct tail_batch *next;
};

struct tail {
    struct store *store;
    struct red *red;
    struct tail_config *config;
    struct event_base *base;
    struct event *woken, *told, *look; /* told: inotify */
    int wake_fd, notify_fd;
    pthread_t thread;
    bool running, stopping;
    bool search;                 /* the next look is for new files, too */
    int64_t search_ms;           /* and from then on it is anyway; monotonic */
    bool searched;               /* there has been one */
    bool told_many, told_refused;
    struct tail_file *files;
    size_t storing;

    pthread_mutex_t box;
    struct tail_batch *answered;
    bool stop;

    _Atomic uint64_t nfiles, lines, bytes, truncated, cut, not_stored;
};

/* --- tail_find.c --- */

/* Opens what is new, notes which files have been renamed or removed, and watches the folders. */
void tail_search(struct tail *t);
void tail_file_free(struct tail_file *f);

/* --- tail_file.c --- */

/* Takes the next lines, when there are and the file is at leisure. */
void tail_file_read(struct tail_file *f);
/* The store has answered. */
void tail_file_stored(struct tail_batch *b);
void tail_batch_free(struct tail_batch *b);
/* Reads the first line's hash; false: there is no whole one yet. */
bool tail_first_line(int fd, uint64_t *hash, size_t *n);
void tail_sender(char out[96], dev_t device, ino_t inode, uint64_t hash);
off_t tail_offset(uint64_t number);

/* --- tail.c --- */

/* Looks again in so many ms, or earlier. */
void tail_look_in(struct tail *t, int ms);
void tail_answer(struct tail *t, struct tail_batch *b);

#endif
