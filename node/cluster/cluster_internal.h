/* What the files of this folder share. */
#ifndef PS_NODE_CLUSTER_CLUSTER_INTERNAL_H
#define PS_NODE_CLUSTER_CLUSTER_INTERNAL_H

#include "node/cluster/cluster_file.h"
#include "node/cluster/json_read.h"

/** ps_cluster_decode on what is already parsed; failures go to the reader. *ret is initialised on
 * success only. */
PS_MUST_CHECK enum ps_status ps_cluster_decode_json(struct ps_json_reader *reader,
                                                    const json_t *json, struct ps_cluster *ret);

#endif
