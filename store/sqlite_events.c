/* sqlite_events.c: one table for each kind of event, one row for each event.
 *
 * What SQL can decide it decides: the time range by an index, and conditions on columns, always as bound parameters.
 * Regular expressions and attributes are judged here, row by row. An unset text is NULL in the table and the empty text
 * everywhere else. Texts are compared byte for byte. */
#include "store/events.h"

#include "base/mem.h"
#include "base/num.h"
#include "store/pack-internal.h"
#include "store/store-internal.h"

enum { PAGE_ROWS = 512, PAGE_BYTES = 4 << 20, SQL_MAX = 1 << 20, PACKED_MAX = 1 << 30 };

/* --- writing --- */

static void put_table(struct buf *sql, enum event_kind kind)
{
    buf_printf(sql, "\"%.*s\"", STR_ARG(event_tables[kind].name));
}

static void put_column(struct buf *sql, enum event_kind kind, size_t column)
{
    buf_printf(sql, "\"%.*s\"", STR_ARG(event_tables[kind].columns[column].name));
}

/* Prepares and frees the text. */
static struct stmt *prepare(struct db *db, struct buf *sql, struct err *e)
{
    struct stmt *s = NULL;

    if (buf_failed(sql))
        err_set(e, ERR_NOMEM, "no memory for a statement");
    else
        s = db_prepare(db, buf_view(sql), e);
    buf_free(sql);
    return s;
}

static struct stmt *insert_statement(struct db *db, enum event_kind kind, struct err *e)
{
    struct buf sql = BUF_INIT(SQL_MAX);

    buf_puts(&sql, "INSERT INTO ");
    put_table(&sql, kind);
    buf_puts(&sql, "(time_ns");
    for (size_t i = 0; i < event_tables[kind].n; i++) {
        buf_puts(&sql, ", ");
        put_column(&sql, kind, i);
    }
    buf_puts(&sql, ", attributes) VALUES(?");
    for (size_t i = 0; i < event_tables[kind].n; i++)
        buf_puts(&sql, ", ?");
    buf_puts(&sql, ", ?)");
    return prepare(db, &sql, e);
}

static void bind_event(struct stmt *s, enum event_kind kind, const struct event *ev, struct str attributes)
{
    const struct event_table *t = &event_tables[kind];
    int at = 1;

    stmt_bind_i64(s, at++, ev->time_ns);
    for (size_t i = 0; i < t->n; i++, at++) {
        if (!t->columns[i].is_text)
            stmt_bind_i64(s, at, ev->values[i].i);
        else if (ev->values[i].s.n)
            stmt_bind_text(s, at, ev->values[i].s);
        else
            stmt_bind_null(s, at);
    }
    if (attributes.n)
        stmt_bind_blob(s, at, attributes);
    else
        stmt_bind_null(s, at);
}

int db_event_add(struct db *db, enum event_kind kind, const struct event *ev, struct err *e)
{
    struct stmt **slot = db_slot(db, kind);
    struct buf packed = BUF_INIT(PACKED_MAX);
    int rc;

    if (!*slot)
        *slot = insert_statement(db, kind, e);
    if (!*slot)
        return db_why(db) ? db_why(db) : ERR_NOMEM;
    labels_pack(&packed, ev->attributes);
    if (buf_failed(&packed)) {
        rc = err_set(e, ERR_NOMEM, "no memory for an event's attributes");
    } else {
        bind_event(*slot, kind, ev, buf_view(&packed));
        rc = stmt_run(*slot, e);
    }
    buf_free(&packed);
    return rc;
}

int db_events_drop(struct db *db, enum event_kind kind, int64_t before_ns, size_t max, size_t *removed, struct err *e)
{
    struct buf sql = BUF_INIT(SQL_MAX);
    struct stmt *s;
    int rc;

    *removed = 0;
    buf_puts(&sql, "DELETE FROM ");
    put_table(&sql, kind);
    buf_puts(&sql, " WHERE rowid IN (SELECT rowid FROM ");
    put_table(&sql, kind);
    buf_puts(&sql, " WHERE time_ns < ? ORDER BY time_ns LIMIT ?) RETURNING 1");
    s = prepare(db, &sql, e);
    if (!s)
        return db_why(db) ? db_why(db) : ERR_NOMEM;
    stmt_bind_i64(s, 1, before_ns);
    stmt_bind_i64(s, 2, (int64_t)max);
    while ((rc = stmt_step(s, e)) == 1)
        ++*removed;
    stmt_close(s);
    return rc;
}

/* --- conditions --- */

static bool numeric(enum event_op op)
{
    return op == EVENT_LT || op == EVENT_LE || op == EVENT_GT || op == EVENT_GE;
}

static bool by_regex(enum event_op op)
{
    return op == EVENT_RE || op == EVENT_NRE;
}

static int check_condition(enum event_kind kind, const struct event_condition *c, struct err *e)
{
    const struct event_table *t = &event_tables[kind];
    struct str name = c->attribute;
    bool text = true;

    if (c->column >= 0) {
        if ((size_t)c->column >= t->n)
            return err_set(e, ERR_INVALID, "%.*s: column %d, should be less than %zu", STR_ARG(t->name), c->column,
                           t->n);
        name = t->columns[c->column].name;
        text = t->columns[c->column].is_text;
    }
    if (by_regex(c->op) && !c->re)
        return err_set(e, ERR_INVALID, "%.*s: a regular expression is missing", STR_ARG(name));
    if (!text && c->op != EVENT_EQ && c->op != EVENT_NE && !numeric(c->op))
        return err_set(e, ERR_INVALID, "%.*s: a number cannot be searched for text", STR_ARG(name));
    if (text && c->column >= 0 && numeric(c->op))
        return err_set(e, ERR_INVALID, "%.*s: a text cannot be compared as a number", STR_ARG(name));
    return 0;
}

/* Whether SQL decides it. */
static bool pushed_down(const struct event_condition *c)
{
    return c->column >= 0 && !by_regex(c->op);
}

static void put_number_condition(struct buf *sql, enum event_op op)
{
    static const char *const ops[] = { [EVENT_EQ] = " = ?", [EVENT_NE] = " <> ?", [EVENT_LT] = " < ?",
                                       [EVENT_LE] = " <= ?", [EVENT_GT] = " > ?", [EVENT_GE] = " >= ?" };

    buf_puts(sql, ops[op]);
}

/* Every form takes one parameter. The empty text is bound as NULL where it stands for "unset". */
static void put_condition(struct buf *sql, enum event_kind kind, const struct event_condition *c)
{
    buf_puts(sql, " AND ");
    if (c->op == EVENT_CONTAINS || c->op == EVENT_LACKS) {
        buf_puts(sql, "instr(CAST(coalesce(");
        put_column(sql, kind, (size_t)c->column);
        buf_printf(sql, ", '') AS BLOB), ?) %s 0", c->op == EVENT_CONTAINS ? ">" : "=");
        return;
    }
    put_column(sql, kind, (size_t)c->column);
    if (event_tables[kind].columns[c->column].is_text)
        buf_puts(sql, c->op == EVENT_EQ ? " IS ?" : " IS NOT ?");
    else
        put_number_condition(sql, c->op);
}

static void bind_condition(struct stmt *s, int at, enum event_kind kind, const struct event_condition *c)
{
    if (!event_tables[kind].columns[c->column].is_text)
        stmt_bind_i64(s, at, c->value.i);
    else if (c->op == EVENT_CONTAINS || c->op == EVENT_LACKS)
        stmt_bind_blob(s, at, c->value.s);
    else if (c->value.s.n)
        stmt_bind_text(s, at, c->value.s);
    else
        stmt_bind_null(s, at);
}

static bool number_holds(const struct event_condition *c, struct str text)
{
    double v, than = (double)c->value.i;

    if (!num_double(text, &v))
        return false;
    switch (c->op) {
    case EVENT_LT:
        return v < than;
    case EVENT_LE:
        return v <= than;
    case EVENT_GT:
        return v > than;
    default:
        return v >= than;
    }
}

static bool text_holds(const struct event_condition *c, struct str text)
{
    switch (c->op) {
    case EVENT_EQ:
        return str_eq(text, c->value.s);
    case EVENT_NE:
        return !str_eq(text, c->value.s);
    case EVENT_CONTAINS:
        return str_find(text, c->value.s) >= 0;
    case EVENT_LACKS:
        return str_find(text, c->value.s) < 0;
    case EVENT_RE:
        return regex_match(c->re, text);
    case EVENT_NRE:
        return !regex_match(c->re, text);
    default:
        return number_holds(c, text);
    }
}

/* --- reading --- */

struct event_cursor {
    struct store *st;
    struct db *db;
    struct stmt *s;
    enum event_kind kind;
    struct event_condition *here; /* those that are judged here */
    size_t nhere;
    uint64_t wanted, fetched;     /* columns of the pages; those and what `here` looks at */
    bool want_attributes, fetch_attributes;
    size_t left;                  /* rows until the limit */
    bool ended;

    struct arena texts;           /* of the present page */
    int64_t *time_ns;             /* these have room for PAGE_ROWS */
    union event_value *columns[EVENT_MAX_COLUMNS];
    struct labels *attributes;
};

static void put_query(struct buf *sql, const struct event_cursor *c, const struct event_query *q)
{
    buf_puts(sql, "SELECT time_ns");
    for (size_t i = 0; i < event_tables[q->kind].n; i++)
        if (c->fetched >> i & 1) {
            buf_puts(sql, ", ");
            put_column(sql, q->kind, i);
        }
    if (c->fetch_attributes)
        buf_puts(sql, ", attributes");
    buf_puts(sql, " FROM ");
    put_table(sql, q->kind);
    buf_puts(sql, " WHERE time_ns >= ? AND time_ns < ?");
    for (size_t i = 0; i < q->n; i++)
        if (pushed_down(&q->conditions[i]))
            put_condition(sql, q->kind, &q->conditions[i]);
    buf_puts(sql, q->newest_first ? " ORDER BY time_ns DESC, rowid DESC" : " ORDER BY time_ns, rowid");
}

/* The texts of conditions are bound without a copy, so they are kept in the cursor's arena. */
static int start(struct event_cursor *c, const struct event_query *q, struct arena *a, struct err *e)
{
    struct buf sql = BUF_INIT(SQL_MAX);
    int at = 1;

    put_query(&sql, c, q);
    c->s = prepare(c->db, &sql, e);
    if (!c->s)
        return db_why(c->db) ? db_why(c->db) : ERR_NOMEM;
    stmt_bind_i64(c->s, at++, q->from_ns);
    stmt_bind_i64(c->s, at++, q->to_ns);
    for (size_t i = 0; i < q->n; i++) {
        struct event_condition kept = q->conditions[i];

        bool is_text = !by_regex(kept.op) && !numeric(kept.op) &&
                       (kept.column < 0 || event_tables[q->kind].columns[kept.column].is_text);

        if (is_text)
            kept.value.s = arena_str(a, kept.value.s);
        kept.attribute = arena_str(a, kept.attribute);
        if (!kept.attribute.p || (is_text && !kept.value.s.p))
            return err_set(e, ERR_NOMEM, "no memory for the conditions");
        if (pushed_down(&kept))
            bind_condition(c->s, at++, q->kind, &kept);
        else
            c->here[c->nhere++] = kept;
    }
    return 0;
}

static int make_room(struct event_cursor *c, struct arena *a, struct err *e)
{
    bool all = true;

    c->time_ns = arena_array(a, PAGE_ROWS, sizeof(*c->time_ns));
    for (size_t i = 0; i < event_tables[c->kind].n; i++)
        if (c->wanted >> i & 1) {
            c->columns[i] = arena_array(a, PAGE_ROWS, sizeof(*c->columns[i]));
            all = all && c->columns[i];
        }
    if (c->want_attributes)
        c->attributes = arena_array(a, PAGE_ROWS, sizeof(*c->attributes));
    if (!c->time_ns || !all || (c->want_attributes && !c->attributes))
        return err_set(e, ERR_NOMEM, "no memory for a page of events");
    return 0;
}

static struct event_cursor *new_cursor(struct store *st, const struct event_query *q, struct arena *a, struct err *e)
{
    struct event_cursor *c = ARENA_NEW(a, struct event_cursor);
    uint64_t all = event_tables[q->kind].n == 64 ? ~(uint64_t)0 : ((uint64_t)1 << event_tables[q->kind].n) - 1;

    if (!c || !(c->here = arena_array(a, q->n, sizeof(*c->here)))) {
        err_set(e, ERR_NOMEM, "no memory for a query of events");
        return NULL;
    }
    c->st = st;
    c->kind = q->kind;
    c->texts = (struct arena)ARENA_INIT(0); /* a page ends at PAGE_BYTES */
    c->wanted = c->fetched = q->columns & all;
    c->want_attributes = c->fetch_attributes = q->attributes;
    c->left = q->limit ? q->limit : SIZE_MAX;
    for (size_t i = 0; i < q->n; i++) {
        if (check_condition(q->kind, &q->conditions[i], e) < 0)
            return NULL;
        if (q->conditions[i].column < 0)
            c->fetch_attributes = true;
        else if (!pushed_down(&q->conditions[i]))
            c->fetched |= (uint64_t)1 << q->conditions[i].column;
    }
    return c;
}

struct event_cursor *events_open(struct store *st, const struct event_query *q, struct arena *a, struct err *e)
{
    struct event_cursor *c = new_cursor(st, q, a, e);

    if (!c)
        return NULL;
    c->db = db_pool_take(st->readers, e);
    if (!c->db || make_room(c, a, e) < 0 || start(c, q, a, e) < 0) {
        events_close(c);
        return NULL;
    }
    return c;
}

/* The row's attributes, in the page's arena. */
static int read_attributes(struct event_cursor *c, int at, struct labels *out, struct err *e)
{
    struct str bytes = arena_str(&c->texts, stmt_text(c->s, at));

    if (!bytes.p)
        return err_set(e, ERR_NOMEM, "no memory for a page of events");
    return labels_unpack(&c->texts, bytes, out, e);
}

/* Reads the row the statement stands on into place `n` of the page; 1 when it holds against `here`, 0 when not. */
static int read_row(struct event_cursor *c, size_t n, struct err *e)
{
    const struct event_table *t = &event_tables[c->kind];
    struct str looked[EVENT_MAX_COLUMNS];
    struct labels attributes = { NULL, 0 };
    int at = 1, rc = 0;

    for (size_t i = 0; i < t->n; i++)
        if (c->fetched >> i & 1) {
            if (t->columns[i].is_text)
                looked[i] = stmt_text(c->s, at);
            else if (c->columns[i])
                c->columns[i][n].i = stmt_i64(c->s, at);
            at++;
        }
    if (c->fetch_attributes)
        rc = read_attributes(c, at, &attributes, e);
    if (rc == 0)
        rc = stmt_check(c->s, e);
    for (size_t i = 0; rc == 0 && i < c->nhere; i++) {
        const struct event_condition *k = &c->here[i];

        if (!text_holds(k, k->column >= 0 ? looked[k->column] : labels_get(attributes, k->attribute)))
            return 0;
    }
    for (size_t i = 0; rc == 0 && i < t->n; i++)
        if (c->columns[i] && t->columns[i].is_text) {
            c->columns[i][n].s = looked[i].n ? arena_str(&c->texts, looked[i]) : STR_NULL;
            if (looked[i].n && !c->columns[i][n].s.p)
                rc = err_set(e, ERR_NOMEM, "no memory for a page of events");
        }
    if (c->attributes)
        c->attributes[n] = attributes;
    c->time_ns[n] = stmt_i64(c->s, 0);
    return rc < 0 ? rc : 1;
}

int events_next(struct event_cursor *c, struct event_page *page, struct err *e)
{
    size_t n = 0;
    int rc = 1;

    arena_free(&c->texts);
    while (!c->ended && n < PAGE_ROWS && c->left && c->texts.used < PAGE_BYTES) {
        rc = stmt_step(c->s, e);
        c->ended = rc != 1;
        if (rc == 1)
            rc = read_row(c, n, e);
        if (rc < 0) {
            c->ended = true;
            return rc;
        }
        n += (size_t)rc;
        c->left -= (size_t)rc;
    }
    *page = (struct event_page){ .n = n, .time_ns = c->time_ns, .attributes = c->attributes };
    for (size_t i = 0; i < event_tables[c->kind].n; i++)
        page->columns[i] = c->columns[i];
    return n > 0;
}

void events_close(struct event_cursor *c)
{
    if (!c)
        return;
    stmt_close(c->s);
    c->s = NULL;
    db_pool_give(c->st->readers, c->db);
    c->db = NULL;
    arena_free(&c->texts);
}

static int collect(struct stmt *s, size_t limit, struct arena *a, struct str **values, size_t *n, struct err *e)
{
    size_t cap = 0;
    int rc;

    while ((rc = stmt_step(s, e)) == 1) {
        if (*n == limit)
            return 0;
        if (arena_grow(a, values, &cap, *n + 1, sizeof(**values)) < 0)
            return err_set(e, ERR_NOMEM, "no memory for the list of values");
        (*values)[*n] = arena_str(a, stmt_text(s, 0));
        if (!(*values)[*n].p || stmt_check(s, NULL) < 0)
            return err_set(e, ERR_NOMEM, "no memory for the list of values");
        ++*n;
    }
    return rc;
}

int events_distinct(struct store *st, enum event_kind kind, int column, int64_t from_ns, int64_t to_ns, size_t limit,
                    struct arena *a, struct str **values, size_t *n, struct err *e)
{
    struct buf sql = BUF_INIT(SQL_MAX);
    struct stmt *s = NULL;
    struct db *db;
    int rc;

    *values = NULL;
    *n = 0;
    if (column < 0 || (size_t)column >= event_tables[kind].n || !event_tables[kind].columns[column].is_text)
        return err_set(e, ERR_INVALID, "%.*s: column %d is no text", STR_ARG(event_tables[kind].name), column);
    db = db_pool_take(st->readers, e);
    if (!db)
        return ERR_IO;
    buf_puts(&sql, "SELECT DISTINCT ");
    put_column(&sql, kind, (size_t)column);
    buf_puts(&sql, " FROM ");
    put_table(&sql, kind);
    buf_puts(&sql, " WHERE time_ns >= ? AND time_ns < ? AND ");
    put_column(&sql, kind, (size_t)column);
    buf_puts(&sql, " IS NOT NULL ORDER BY 1");
    s = prepare(db, &sql, e);
    rc = s ? 0 : ERR_NOMEM;
    if (s) {
        stmt_bind_i64(s, 1, from_ns);
        stmt_bind_i64(s, 2, to_ns);
        rc = collect(s, limit, a, values, n, e);
    }
    stmt_close(s);
    db_pool_give(st->readers, db);
    return rc;
}
