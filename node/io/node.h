/* The process of one PoP: what `popsim node` runs.
 *
 * It reads <folder>/cluster.json, opens the PoP's map in <folder>/pop-<code>/map, serves HTTP on
 * the PoP's port and talks to the other nodes over sockets in the state folder. It writes
 * <folder>/pop-<code>/node.json {pid, port, boot, ready} once it serves, and log lines to stderr.
 */
#ifndef PS_NODE_IO_NODE_H
#define PS_NODE_IO_NODE_H

struct ps_node_options {
    const char *folder; /* the cluster's state folder */
    const char *pop;    /* PoP code */
    /* For tests; 0: as usual. */
    unsigned blob_hold_ms;   /* PS_BLOB_HOLD_S */
    unsigned sweep_every_ms; /* PS_SWEEP_EVERY_S */
    unsigned peer_silent_ms; /* PS_PEER_SILENT_S */
};

/** Serve until SIGTERM or SIGINT, then end the requests under way and return. Returns the exit
 * code: 0 after such a stop, 2 when the folder or the PoP is not usable, 3 on failure. Blocks; to
 * be called once per process, from its only thread. */
int ps_node_main(const struct ps_node_options *options);

#endif
