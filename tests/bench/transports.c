/* SPDX-License-Identifier: MIT
 *
 * The contenders that this build has.
 */
#include "tests/bench/transport.h"

const struct transport *const *transports_all(void)
{
    static const struct transport *const all[] = {
        transports_ring,  transports_waiting, transports_library,
#ifdef HAVE_BOOST
        transports_boost,
#endif
#ifdef HAVE_DPDK
        transports_dpdk,
#endif
        transports_plain, transports_trip,    NULL,
    };

    return all;
}
