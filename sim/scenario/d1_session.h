/* How the D1 session begins that an operation is run in (the Workers API's withSession). */
#ifndef PS_SIM_SCENARIO_D1_SESSION_H
#define PS_SIM_SCENARIO_D1_SESSION_H

#include "replication/base/slice.h"

/** The first four are what a PoP is asked with; a client of a scenario that carries its bookmark
 *  begins with one of the two before it. */
enum ps_d1_session {
    PS_D1_SESSION_NONE,          /* no session: the primary */
    PS_D1_SESSION_PRIMARY,       /* first-primary */
    PS_D1_SESSION_UNCONSTRAINED, /* first-unconstrained */
    PS_D1_SESSION_BOOKMARK, /* the client's newest bookmark; before it has one: UNCONSTRAINED */
    PS_D1_SESSION_BOOKMARK_PRIMARY /* the same; before it has one: PRIMARY */
};

/** "", "first-primary", "first-unconstrained", "bookmark", "bookmark-primary". */
const char *ps_d1_session_name(enum ps_d1_session session);
/** Of a name but the empty one. Errors: PS_NOT_FOUND. */
PS_MUST_CHECK enum ps_status ps_d1_session_find(struct ps_slice name, enum ps_d1_session *ret);

#endif
