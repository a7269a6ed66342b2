/* SPDX-License-Identifier: MIT
 *
 * Requests: what a peer asked for in its mailbox is checked, carried out and answered.
 */
#ifndef IVSHMEM_REQUESTS_H
#define IVSHMEM_REQUESTS_H

#include <stdint.h>

#include "common/layout.h"

struct channels;

/**
 * requests_carry_out() - carry out a request and answer it
 * @channels: the tables
 * @peer:     present; its own doorbell was taken
 * @request:  a copy of what stood in its mailbox: anything can be in it
 * @now:      the time
 */
void requests_carry_out(struct channels *channels, unsigned peer,
                        const struct layout_request *request, int64_t now);

#endif
