#include "sim/report/agree.h"

#include "replication/base/histogram.h"
#include "replication/base/memory.h"

#include <string.h>

/* What a database's schema has made has no session. */
#define SCHEMA UINT32_MAX

/* The write that made a version. */
struct maker {
    uint32_t session; /* in the common names; SCHEMA */
    uint64_t number;  /* in it; of a schema its hash */
    bool known;
};

/* One history, its operations by session and number. */
struct side {
    const struct ps_history *history;
    uint32_t *common;         /* of each session: its number among the names of both */
    const struct ps_op **ops; /* by session, then in order of invocation */
    size_t *ends;             /* of common session s: ops[ends[s] .. ends[s + 1]) */
    struct maker **makers;    /* per store: by LSN */
    uint64_t *lsn_most;       /* per store */
    uint64_t *schema_lsn;     /* per store: what its schema made; 0: it has none */
};

static int compare_ids(const void *left, const void *right)
{
    uint64_t a = (*(const struct ps_op *const *)left)->id;
    uint64_t b = (*(const struct ps_op *const *)right)->id;
    return a < b ? -1 : a > b;
}

static void name_sessions(struct side *side, struct ps_intern *names)
{
    size_t count = ps_intern_count(side->history->sessions);
    side->common = PS_NEW_ARRAY(uint32_t, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        side->common[i] = ps_intern_put(names, ps_intern_text(side->history->sessions, i));
    }
}

static void order_ops(struct side *side, size_t session_count)
{
    const struct ps_history *history = side->history;
    size_t count = history->op_count;
    const struct ps_op **by_id = PS_NEW_ARRAY(const struct ps_op *, count + 1);
    for (size_t i = 0; i < count; i++) {
        by_id[i] = &history->ops[i];
    }
    qsort(by_id, count, sizeof *by_id, compare_ids);
    side->ops = PS_NEW_ARRAY(const struct ps_op *, count + 1);
    side->ends = PS_NEW_ARRAY(size_t, session_count + 2);
    for (size_t i = 0; i < count; i++) {
        side->ends[side->common[by_id[i]->session] + 2]++;
    }
    for (size_t s = 2; s < session_count + 2; s++) {
        side->ends[s] += side->ends[s - 1];
    }
    /* Now ends[s + 1] is where session s starts; filling moves it to where session s ends. */
    for (size_t i = 0; i < count; i++) {
        side->ops[side->ends[side->common[by_id[i]->session] + 1]++] = by_id[i];
    }
    free(by_id);
}

/* A run's own records of no operation are those of its schemas: what others wrote has no request.
 */
static void note_schemas(struct side *side)
{
    const struct ps_history *history = side->history;
    for (size_t i = 0; i < history->foreign_count; i++) {
        const struct ps_foreign *record = &history->foreign[i];
        if (record->request != 0 && record->lsn <= side->lsn_most[record->store]) {
            struct ps_slice request = ps_intern_text(history->requests, record->request - 1);
            side->schema_lsn[record->store] = record->lsn;
            side->makers[record->store][record->lsn] =
                (struct maker){SCHEMA, ps_slice_hash(request), true};
        }
    }
}

static void note_most(struct side *side, uint16_t store, uint64_t lsn)
{
    const struct ps_history *history = side->history;
    /* An LSN beyond the number of records is forged. */
    if (lsn > side->lsn_most[store] && lsn <= history->op_count + history->foreign_count) {
        side->lsn_most[store] = lsn;
    }
}

static void note_makers(struct side *side, size_t session_count)
{
    const struct ps_history *history = side->history;
    size_t stores = history->cluster->store_count;
    side->makers = PS_NEW_ARRAY(struct maker *, stores + 1);
    side->lsn_most = PS_NEW_ARRAY(uint64_t, stores + 1);
    side->schema_lsn = PS_NEW_ARRAY(uint64_t, stores + 1);
    for (size_t i = 0; i < history->op_count; i++) {
        const struct ps_op *op = &history->ops[i];
        if (ps_op_is_write(op)) {
            note_most(side, op->store, op->lsn);
        }
    }
    for (size_t i = 0; i < history->foreign_count; i++) {
        note_most(side, history->foreign[i].store, history->foreign[i].lsn);
    }
    for (size_t s = 0; s < stores; s++) {
        side->makers[s] = PS_NEW_ARRAY(struct maker, side->lsn_most[s] + 1);
    }
    for (uint32_t s = 0; s < session_count; s++) {
        for (size_t i = side->ends[s]; i < side->ends[s + 1]; i++) {
            const struct ps_op *op = side->ops[i];
            if (ps_op_is_write(op) && op->lsn != 0 && op->lsn <= side->lsn_most[op->store]) {
                side->makers[op->store][op->lsn] = (struct maker){s, i - side->ends[s], true};
            }
        }
    }
    note_schemas(side);
}

static void side_fini(struct side *side)
{
    for (size_t s = 0; s < side->history->cluster->store_count; s++) {
        free(side->makers[s]);
    }
    free(side->makers);
    free(side->lsn_most);
    free(side->schema_lsn);
    free(side->common);
    free(side->ops);
    free(side->ends);
}

static const struct ps_op *op_at(const struct side *side, uint32_t session, uint64_t number)
{
    size_t count = side->ends[session + 1] - side->ends[session];
    return number < count ? side->ops[side->ends[session] + number] : NULL;
}

/* Who made the version that the get returned; false: nobody known, or there was none. */
static struct maker maker_of(const struct side *side, const struct ps_op *op)
{
    struct maker none = {0};
    return op->lsn != 0 && op->lsn <= side->lsn_most[op->store] ? side->makers[op->store][op->lsn]
                                                                : none;
}

/* The LSN that what `maker` made has in this run; `otherwise`: it was not made there. */
static uint64_t lsn_made(const struct side *side, uint16_t store, const struct maker *maker,
                         uint64_t otherwise)
{
    if (maker->session == SCHEMA) {
        return side->schema_lsn[store] == 0 ? otherwise : side->schema_lsn[store];
    }
    const struct ps_op *op = op_at(side, maker->session, maker->number);
    return op == NULL || !ps_op_is_write(op) ? otherwise : op->lsn;
}

/* Is there an answer to compare? What D1 refuses is one, which depends on the version. */
static bool is_answered(const struct ps_op *op)
{
    return op->error == PS_OK || (ps_op_is_d1(op) && op->error == PS_INVALID && op->eval_ns != 0);
}

static struct ps_slice request_of(const struct side *side, const struct ps_op *op)
{
    return op->request == 0 ? (struct ps_slice){"", 0}
                            : ps_intern_text(side->history->requests, op->request - 1);
}

static bool same_question(const struct side *left, const struct ps_op *a, const struct side *right,
                          const struct ps_op *b)
{
    return a->kind == b->kind && a->pop == b->pop &&
           strcmp(left->history->cluster->stores[a->store].name,
                  right->history->cluster->stores[b->store].name) == 0 &&
           ps_slice_eq(ps_intern_text(left->history->keys, a->key),
                       ps_intern_text(right->history->keys, b->key)) &&
           ps_slice_eq(request_of(left, a), request_of(right, b));
}

static void compare_gets(const struct side *left, const struct ps_op *a, const struct side *right,
                         const struct ps_op *b, struct ps_agreement *ret)
{
    struct maker made_a = maker_of(left, a);
    struct maker made_b = maker_of(right, b);
    bool same = (a->lsn == 0 && b->lsn == 0) ||
                (made_a.known && made_b.known && made_a.session == made_b.session &&
                 made_a.number == made_b.number);
    /* The same version is absent in one run if its life had ended when it was read there. */
    if (same && a->found == b->found && a->error == b->error) {
        ret->same++;
        return;
    }
    uint64_t lsn = a->lsn == 0    ? 0
                   : made_a.known ? lsn_made(right, b->store, &made_a, b->lsn)
                                  : b->lsn;
    if (lsn == b->lsn || (lsn == 0 && a->lsn != 0)) {
        ret->other++;
    } else if (b->lsn > lsn) {
        ret->newer++;
    } else {
        ret->older++;
    }
}

static void compare(const struct side *left, const struct ps_op *a, const struct side *right,
                    const struct ps_op *b, struct ps_histogram *shifts, struct ps_agreement *ret)
{
    ret->matched++;
    if (!is_answered(a) || !is_answered(b)) {
        ret->failed++;
        return;
    }
    ps_dur_ns at_a = ps_time_sub(a->eval_ns, left->history->begin_ns);
    ps_dur_ns at_b = ps_time_sub(b->eval_ns, right->history->begin_ns);
    ps_histogram_record(shifts, at_a < at_b ? at_b - at_a : at_a - at_b, 1);
    if (ps_op_is_read(a)) {
        compare_gets(left, a, right, b, ret);
    } else if (a->digest == b->digest) {
        ret->same++;
    } else {
        ret->other++;
    }
}

static uint64_t count_reads(const struct ps_history *history)
{
    uint64_t count = 0;
    for (size_t i = 0; i < history->op_count; i++) {
        count += ps_op_is_write(&history->ops[i]) ? 0 : 1;
    }
    return count;
}

void ps_agree(const struct ps_history *left, const struct ps_history *right,
              struct ps_agreement *ret)
{
    struct side sides[2] = {{.history = left}, {.history = right}};
    struct ps_intern *names = ps_intern_create();
    name_sessions(&sides[0], names);
    name_sessions(&sides[1], names);
    size_t session_count = ps_intern_count(names);
    for (size_t i = 0; i < 2; i++) {
        order_ops(&sides[i], session_count);
        note_makers(&sides[i], session_count);
    }
    *ret =
        (struct ps_agreement){.left_reads = count_reads(left), .right_reads = count_reads(right)};
    struct ps_histogram *shifts = PS_NEW(struct ps_histogram);
    for (uint32_t s = 0; s < session_count; s++) {
        for (size_t i = sides[1].ends[s]; i < sides[1].ends[s + 1]; i++) {
            const struct ps_op *b = sides[1].ops[i];
            const struct ps_op *a = op_at(&sides[0], s, i - sides[1].ends[s]);
            if (a != NULL && !ps_op_is_write(b) && same_question(&sides[0], a, &sides[1], b)) {
                compare(&sides[0], a, &sides[1], b, shifts, ret);
            }
        }
    }
    ret->shift_p50 = ps_histogram_quantile(shifts, 0.5);
    ret->shift_most = ps_histogram_quantile(shifts, 1);
    free(shifts);
    side_fini(&sides[0]);
    side_fini(&sides[1]);
    ps_intern_destroy(names);
}

static void put_percent(struct ps_buf *ret, uint64_t part, uint64_t whole)
{
    uint64_t hundredths = whole == 0 ? 0 : (uint64_t)((ps_u128)part * 10000 / whole);
    ps_buf_printf(ret, "%llu.%02llu %%", (unsigned long long)(hundredths / 100),
                  (unsigned long long)(hundredths % 100));
}

void ps_agree_text(const struct ps_agreement *agreement, const struct ps_history *left,
                   const struct ps_history *right, struct ps_buf *ret)
{
    const char *name = left->live == right->live ? "second" : right->live ? "live" : "virtual";
    uint64_t answered = agreement->matched - agreement->failed;
    uint64_t most = agreement->left_reads > agreement->right_reads ? agreement->left_reads
                                                                   : agreement->right_reads;
    ps_buf_printf(ret,
                  "Read by read: %llu of %llu reads were asked in both runs (same session, same "
                  "number in it, same key)",
                  (unsigned long long)agreement->matched, (unsigned long long)most);
    if (agreement->failed > 0) {
        ps_buf_printf(ret, ", %llu of them not answered in one or both",
                      (unsigned long long)agreement->failed);
    }
    ps_buf_printf(ret, ".\n%llu of %llu answers (", (unsigned long long)agreement->same,
                  (unsigned long long)answered);
    put_percent(ret, agreement->same, answered);
    ps_buf_append_text(ret, ") are the same version, known by the write that made it");
    if (agreement->same < answered) {
        ps_buf_printf(
            ret, "; of the others the %s run's are newer %llu times, older %llu times, else %llu",
            name, (unsigned long long)agreement->newer, (unsigned long long)agreement->older,
            (unsigned long long)agreement->other);
    }
    ps_buf_append_text(ret, ".\n");
    if (left->live == right->live || answered == 0) {
        return;
    }
    ps_buf_append_text(ret, "A live request takes real time: it was decided ");
    ps_dur_format(ret, agreement->shift_p50);
    ps_buf_append_text(ret, " of cluster time away from its virtual twin (median; at most ");
    ps_dur_format(ret, agreement->shift_most);
    ps_buf_append_text(ret,
                       "). A read that near to\nthe instant at which a version becomes visible, or "
                       "an entry of a cache ends, may fall on its other side.\n"
                       "Whether each live read was right is what popsim verify computes.\n");
}
