/* The journal of the LMDB end, and its checkpoints: how what is applied lasts, for one write of one
 * file that goes from front to back, and one sync of it when the map is sync.
 *
 * LMDB itself never syncs (MDB_NOSYNC). Whatever is to last is appended to the journal first. The
 * journal of a map that is sync is synced before the call returns; that of a relaxed map is not, so
 * a kill loses nothing of it and a loss of power what the system had not written yet. Now and then
 * a checkpoint makes LMDB's file durable (map_lmdb_checkpoint.c), off the writer's thread:
 *
 *   1. between two transactions: what is recent is settled (map_lmdb_recent.h); a read transaction
 *      is begun, which pins the state T that is the newest; LMDB's two meta pages are copied; the
 *      journal goes on in its other file, as the next generation
 *   2. LMDB's file is synced
 *   3. the meta pages, T and the generation are written to the file `checkpoint`, beside what the
 *      checkpoint before left there, and that is synced
 *   4. the pin of the checkpoint before is let go
 *
 * Why that is safe. LMDB writes a page in place only if no reader's state contains it: that is what
 * its readers live by. So while T is pinned, no page of T changes in the file, and step 2 found
 * them all written: after a loss of power they are there, whatever of later pages reached the disk.
 * All that is written in place besides are the meta pages, and these are put back from
 * `checkpoint`. T is pinned from before step 2 until a later state's step 3 is done, so at any
 * instant the state that `checkpoint` names is whole. From it the journal leads on. An entry proves
 * by a chain of checksums that it stands behind all those before it, through both generations;
 * where the chain ends, what was acknowledged by a sync map ends no earlier, since each sync covers
 * all before it. So after a loss of power a map is whole and has a beginning of what was applied to
 * it, if it is sync all that was acknowledged: what SQLite's WAL promises with synchronous=NORMAL
 * and =FULL.
 *
 * At opening, with the `boot_id` of the system the same as in `checkpoint`, only the process can
 * have died: the page cache has all that LMDB wrote, and its file is whole as it stands. With
 * another, the meta pages are put back. In both cases the journal's entries beyond LMDB's newest
 * transaction are done again, and a checkpoint concludes it. Nothing is written to LMDB before its
 * state is pinned and named in `checkpoint`, here as well.
 *
 * What is in the journal: records applied, stores made, what was forgotten, named values, and the
 * beginning of a snapshot (which empties its store). A snapshot's parts are not: its end is a
 * checkpoint, and until then the store counts as empty.
 *
 * When a sync fails, nothing that is written can be trusted: the map refuses to write until it is
 * opened again.
 *
 * Files: `journal.0`, `journal.1` (generation & 1); `checkpoint`, two slots. Integers are
 * little-endian. An entry:
 *
 *   check u64     XXH3 of all that follows
 *   chain u64     check of the entry before; of a generation's first: ps_journal_chain of the check
 *                 that the generation before ended with
 *   txn u64       LMDB's number of the transaction that has it; of a record: that settles it
 *   kind u32, size u32, and `size` bytes (map_lmdb_replay.c) */
#ifndef PS_NODE_MAP_MAP_LMDB_JOURNAL_H
#define PS_NODE_MAP_MAP_LMDB_JOURNAL_H

#include "replication/base/slice.h"

#include <sys/types.h>

enum ps_journal_kind {
    PS_JOURNAL_NONE, /* the transaction is not in the journal */
    PS_JOURNAL_APPLY,
    PS_JOURNAL_STORE,
    PS_JOURNAL_FORGET,
    PS_JOURNAL_META,
    PS_JOURNAL_SNAPSHOT
};

struct ps_journal {
    char *paths[2];
    int fds[2];          /* -1: not there yet */
    off_t sizes[2];      /* of the files */
    uint64_t generation; /* that is being written */
    uint64_t chain;      /* check of its last entry */
    off_t at;            /* where its next entry goes */
    bool unsynced;       /* entries were written and not synced */
    uint64_t chain_back; /* as it was before the last entry, to take that back */
    off_t at_back;
    struct ps_buf entry; /* the one that is being made */
};

/** Open what there is of a journal in `folder`. Functions that return an int return errno, 0 =
 * done.
 */
PS_MUST_CHECK int ps_journal_init(struct ps_journal *journal, const char *folder);
void ps_journal_fini(struct ps_journal *journal); /* zeroed: allowed */

/** Make the names in a folder durable; those in the folder that a file lies in. errno. */
PS_MUST_CHECK int ps_journal_sync_folder(const char *path);
PS_MUST_CHECK int ps_journal_sync_folder_of(const char *file);

/** What the first entry of a generation stands behind. */
uint64_t ps_journal_chain(uint64_t generation, uint64_t chain_before);

/** Go on with an empty generation, whose first entry stands behind `chain`. */
void ps_journal_start(struct ps_journal *journal, uint64_t generation, uint64_t chain);

/** Call `each` for a generation's entries, in order, until it gives false. *chain: what the first
 *  stands behind, and then the check of the last. *ret_count: the calls. */
typedef bool (*ps_journal_fn)(void *context, uint64_t txn, enum ps_journal_kind kind,
                              struct ps_slice bytes);
PS_MUST_CHECK int ps_journal_read(const struct ps_journal *journal, uint64_t generation,
                                  uint64_t *chain, ps_journal_fn each, void *context,
                                  size_t *ret_count);

/** The buffer to append an entry's bytes to; what was appended before is dropped. */
struct ps_buf *ps_journal_begin(struct ps_journal *journal);
/** Write that entry. After an error it is not there, and the next may be written in its place. */
PS_MUST_CHECK int ps_journal_append(struct ps_journal *journal, enum ps_journal_kind kind,
                                    uint64_t txn);
/** Make what was written durable. After an error nothing may be written any more. */
PS_MUST_CHECK int ps_journal_sync(struct ps_journal *journal);
/** Take the last entry back, durably: its transaction came to nothing. After an error nothing may
 * be written any more. */
PS_MUST_CHECK int ps_journal_cancel(struct ps_journal *journal);

#endif
