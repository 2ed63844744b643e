/* What the commands that talk to a PoP share: their options and words, files, REST calls. */
#ifndef PS_TOOLS_POPSIM_CLIENT_H
#define PS_TOOLS_POPSIM_CLIENT_H

#include "tools/popsim/cli.h"

#include <jansson.h>

enum { CLIENT_WORDS_MAX = 103, CLIENT_VALUES_MAX = 24 };

/** Option i of a command has the key CLI_OPTION + i; the first is always --pop. */
enum { CLIENT_POP };

struct client_args {
    const char *state;
    const char *values[CLIENT_VALUES_MAX]; /* by option; NULL: not given; "" of one without value */
    const char *words[CLIENT_WORDS_MAX];
    size_t word_count;
};

/** argp's parser for a `struct client_args`. */
error_t client_parse(int key, char *argument, struct argp_state *state);

/** How many words the verb has ("bulk put": 2), if the command's words begin with them; else 0. */
size_t client_verb(const struct client_args *args, const char *verb);

#define CLIENT_POP_OPTION                                                                          \
    {                                                                                              \
        "pop", CLI_OPTION + CLIENT_POP, "CODE", 0, "The PoP to talk to (default: the first)", 0    \
    }

/** A PoP that is talked to. */
struct client {
    const struct ps_cluster_state *state;
    size_t pop;
};

/** The one that --pop names. Returns an exit code, having said why. */
int client_init(struct client *client, const struct client_args *args,
                const struct ps_cluster_state *state);
const char *client_code(const struct client *client);
/** Append the header that the cluster's token asks for, if it has one. */
void client_put_token(const struct client *client, struct ps_buf *headers);

/** Append a file's bytes; more than size_max are refused. Returns an exit code, having said why. */
int client_read_file(const char *path, size_t size_max, struct ps_buf *ret);

/** Append a text as one segment of a path, or a value of a query. */
void client_put_coded(struct ps_buf *buf, const char *text);

/** A call of the REST API; an empty body is none. *ret is its result, with a reference. Returns an
 *  exit code, having said why. */
int client_rest(const struct client *client, const char *method, struct ps_slice target,
                struct ps_slice body, json_t **ret);
/** A GET of it whose answer has more than its result: *ret is all of it. */
int client_rest_page(const struct client *client, struct ps_slice target, json_t **ret);

/** A member's text, for a table; "?" if it has none. Borrowed from `object`. */
const char *client_text_of(const json_t *object, const char *name);

struct http_reply;
/** Print why a call of the REST API was refused. Returns an exit code. */
int client_refusal(const struct client *client, const struct http_reply *reply);

#endif
