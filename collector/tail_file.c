/* tail_file.c: one file: its name in the store, its lines to batches. */
#include "collector/tail-internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "collector/red.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { OFFSET_BITS = 48, BATCH_MEMORY = 64 << 20, SCAN_BYTES = 256 << 10 };

/* --- its name, and where to go on --- */

bool tail_first_line(int fd, uint64_t *hash, size_t *n)
{
    char first[TAIL_FIRST];
    ssize_t got = pread(fd, first, sizeof(first), 0);
    const char *newline = got > 0 ? memchr(first, '\n', (size_t)got) : NULL;

    if (!newline && got < (ssize_t)sizeof(first))
        return false;
    *n = newline ? (size_t)(newline - first) + 1 : sizeof(first);
    *hash = str_hash_stable((struct str){ first, *n });
    return true;
}

void tail_sender(char out[96], dev_t device, ino_t inode, uint64_t hash)
{
    snprintf(out, 96, "tail:%" PRIx64 ":%" PRIx64 ":%016" PRIx64, (uint64_t)device, (uint64_t)inode, hash);
}

off_t tail_offset(uint64_t number)
{
    return (off_t)(number & ((1ull << OFFSET_BITS) - 1));
}

static uint64_t number_of(uint64_t round, off_t offset)
{
    return round << OFFSET_BITS | (uint64_t)offset;
}

/* Whether the file still begins with the line that gave it its name. */
static bool is_same(const struct tail_file *f)
{
    char first[TAIL_FIRST];
    ssize_t got = pread(f->fd, first, f->first_n, 0);

    return got == (ssize_t)f->first_n && str_hash_stable((struct str){ first, f->first_n }) == f->first_hash;
}

/* Since the last look. */
static bool was_written(struct tail_file *f, const struct stat *st)
{
    bool written = st->st_size != f->offset || st->st_mtim.tv_sec != f->written.tv_sec ||
                   st->st_mtim.tv_nsec != f->written.tv_nsec;

    f->written = st->st_mtim;
    return written;
}

static void go_to(struct tail_file *f, off_t offset)
{
    f->offset = f->looked = offset;
}

/* Behind the last newline; of a file of which nothing is wanted that is there now. */
static off_t last_line_end(int fd, off_t size)
{
    char piece[4096];

    while (size > 0) {
        off_t from = size > (off_t)sizeof(piece) ? size - (off_t)sizeof(piece) : 0;
        ssize_t got = pread(fd, piece, (size_t)(size - from), from);
        const char *newline = got > 0 ? memrchr(piece, '\n', (size_t)got) : NULL;

        if (newline || got <= 0)
            return newline ? from + (newline - piece) + 1 : 0;
        size = from;
    }
    return 0;
}

/* Where to go on, by what is stored of its name. */
static void find_place(struct tail_file *f, uint64_t number, bool same_line, off_t size)
{
    f->round = number >> OFFSET_BITS;
    f->mark = number == 0 && f->at_end;
    go_to(f, f->mark ? last_line_end(f->fd, size) : tail_offset(number));
    f->mark &= f->offset > 0;
    if (f->offset > size || (f->anew && same_line)) { /* the name stays, and its numbers must grow */
        f->round++;
        go_to(f, 0);
    }
    f->at_end = f->anew = false;
}

/* NAMELESS to IDLE. False: not yet. */
static bool get_name(struct tail_file *f, off_t size)
{
    uint64_t before = f->first_hash, number;
    struct err e = ERR_INIT;

    if (!tail_first_line(f->fd, &f->first_hash, &f->first_n))
        return false;
    tail_sender(f->sender, f->device, f->inode, f->first_hash);
    if (store_sender_last(f->owner->store, str_of(f->sender), &number, &e) < 0) {
        log_warn("tail: %s: how far it has been read is not known yet: %s", f->path, e.msg);
        f->first_hash = before;
        return false;
    }
    find_place(f, number, f->first_hash == before, size);
    f->state = TAIL_IDLE;
    return true;
}

/* IDLE to NAMELESS: what was in it is gone. */
static void begin_anew(struct tail_file *f)
{
    log_info("tail: %s: was truncated, it is read from its start", f->path);
    atomic_fetch_add(&f->owner->truncated, 1);
    f->anew = true;
    f->state = TAIL_NAMELESS;
    go_to(f, 0);
}

/* --- its lines --- */

void tail_batch_free(struct tail_batch *b)
{
    arena_free(&b->arena);
    mem_free(b);
}

static struct tail_batch *batch_new(struct tail_file *f)
{
    struct tail_batch *b = mem_zalloc(sizeof(*b));

    if (!b)
        return NULL;
    b->file = f;
    b->arena = (struct arena)ARENA_INIT(BATCH_MEMORY);
    b->path = arena_str(&b->arena, str_of(f->path)); /* the file may be renamed before the batch is stored */
    batch_init(&b->batch, &b->arena);
    return b;
}

/* The next newline at or behind f->looked, which moves along; -1: there is none. */
static off_t find_newline(struct tail_file *f)
{
    char piece[16384];

    for (size_t done = 0; done < SCAN_BYTES; done += sizeof(piece)) {
        ssize_t got = pread(f->fd, piece, sizeof(piece), f->looked);
        const char *newline = got > 0 ? memchr(piece, '\n', (size_t)got) : NULL;

        if (newline)
            return f->looked + (newline - piece);
        if (got <= 0)
            return -1;
        f->looked += got;
    }
    f->more = true;
    return -1;
}

static int add_line(struct tail_batch *b, struct str line, bool cut)
{
    struct tail_file *f = b->file;
    const struct label attributes[] = { { STR("log.file.path"), b->path },
                                        { STR("log.cut"), cut ? STR("true") : STR_NULL } };
    const struct log_origin from = { .now_ns = clock_now_ns(), .attributes = attributes, .n = 2, .nshared = 1 };

    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    line = log_clean(&b->arena, line);
    if (line.n == 0)
        return line.p ? 0 : ERR_NOMEM;
    b->lines++;
    b->cut += cut;
    return log_source_add(f->entry->source, &from, line, &b->batch, NULL);
}

/* A line longer than a chunk, as far as it may be long. */
static int add_long_line(struct tail_batch *b)
{
    struct tail_file *f = b->file;
    off_t newline = find_newline(f), most = (off_t)f->entry->max_line, n = newline - f->offset;
    char *text = newline < 0 ? NULL : arena_alloc(&b->arena, (size_t)most);
    ssize_t got = text ? pread(f->fd, text, (size_t)(n < most ? n : most), f->offset) : 0;

    if (newline < 0)
        return 0;
    if (got <= 0)
        return ERR_NOMEM;
    b->to = newline + 1;
    return add_line(b, (struct str){ text, (size_t)got }, n > most);
}

static int add_lines(struct tail_batch *b, struct str text)
{
    size_t most = b->file->entry->max_line;
    int rc = 0;

    while (rc == 0 && text.n && b->lines < TAIL_ROWS) {
        size_t n = (size_t)str_chr(text, '\n'); /* the text ends with one */
        struct str line = { text.p, n < most ? n : most };

        rc = add_line(b, line, n > most);
        b->to += (off_t)n + 1;
        text = str_from(text, n + 1);
    }
    b->file->more |= text.n > 0;
    return rc;
}

/* Fills the batch with whole lines from f->offset on; without any, b->to stays there. */
static int fill(struct tail_batch *b)
{
    struct tail_file *f = b->file;
    char *text = arena_alloc(&b->arena, TAIL_CHUNK);
    ssize_t got = text ? pread(f->fd, text, TAIL_CHUNK, f->offset) : 0;
    const char *newline = got > 0 ? memrchr(text, '\n', (size_t)got) : NULL;

    if (!text)
        return ERR_NOMEM;
    b->to = f->offset;
    f->more = got == TAIL_CHUNK && newline;
    if (newline)
        return add_lines(b, (struct str){ text, (size_t)(newline - text) + 1 });
    return got == TAIL_CHUNK ? add_long_line(b) : 0;
}

static void stored(void *arg, int rc, const struct err *e)
{
    struct tail_batch *b = arg;

    b->rc = rc;
    b->why = rc < 0 && e ? *e : (struct err)ERR_INIT;
    tail_answer(b->file->owner, b);
}

static void refused(struct tail_file *f, const struct err *why)
{
    if (!f->owner->told_refused && why->code != ERR_BUSY)
        log_warn("tail: %s: not stored yet, it will be read again: %s", f->path, why->msg);
    f->owner->told_refused = true;
    tail_look_in(f->owner, TAIL_AGAIN_MS);
}

static int submit(struct tail_batch *b, struct err *e)
{
    struct tail_file *f = b->file;
    struct tail *t = f->owner;
    int rc = t->red ? red_access_logs(t->red, &b->batch, 0, e) : 0;

    b->batch.sender = arena_str(&b->arena, str_of(f->sender));
    b->batch.number = number_of(f->round, b->to);
    b->batch.lasting = true;
    if (!b->batch.sender.p)
        rc = err_set(e, ERR_NOMEM, "no memory");
    if (rc == 0)
        rc = store_submit(t->store, &b->batch, stored, b, e);
    if (rc == 0) {
        f->state = TAIL_STORING;
        t->storing++;
    }
    return rc;
}

static void take_lines(struct tail_file *f)
{
    struct tail_batch *b = batch_new(f);
    struct err e = ERR_INIT;
    int rc = b ? fill(b) : ERR_NOMEM;

    if (rc == 0 && (b->to > f->offset || f->mark)) {
        rc = submit(b, &e);
        if (rc == 0)
            return;
    }
    if (rc < 0) {
        if (e.code == 0)
            err_set(&e, rc, "no memory for its lines");
        refused(f, &e);
    }
    if (b)
        tail_batch_free(b);
}

void tail_file_read(struct tail_file *f)
{
    struct stat st;

    if (f->state == TAIL_STORING || f->owner->storing >= TAIL_MOST_STORING || fstat(f->fd, &st) < 0)
        return;
    f->more = false;
    if (f->state == TAIL_IDLE && was_written(f, &st) && (st.st_size < f->offset || !is_same(f)))
        begin_anew(f);
    if (f->state == TAIL_NAMELESS && !get_name(f, st.st_size))
        return;
    if (st.st_size > f->looked || f->mark)
        take_lines(f);
    if (f->more && f->state == TAIL_IDLE)
        tail_look_in(f->owner, 0);
}

void tail_file_stored(struct tail_batch *b)
{
    struct tail_file *f = b->file;
    struct tail *t = f->owner;
    bool lost = b->rc == ERR_INVALID || b->rc == ERR_LIMIT || b->rc == ERR_RANGE;

    f->state = TAIL_IDLE;
    t->storing--;
    if (b->rc < 0 && !lost) {
        refused(f, &b->why);
    } else {
        if (lost)
            log_error("tail: %s: %zu lines cannot be stored: %s", f->path, b->lines, b->why.msg);
        t->told_refused = false;
        atomic_fetch_add(lost ? &t->not_stored : &t->lines, b->lines);
        atomic_fetch_add(&t->bytes, (uint64_t)(b->to - f->offset));
        atomic_fetch_add(&t->cut, b->cut);
        go_to(f, b->to);
        f->mark = false;
        tail_look_in(t, f->more ? 0 : TAIL_SOON_MS);
    }
    tail_batch_free(b);
}
