/* SPDX-License-Identifier: MIT
 *
 * Channels in load tests: the real server, the library, and what the control socket says of them.
 * Whatever cannot fail here fails the test.
 */
#ifndef IVSHMEM_TESTS_TALK_H
#define IVSHMEM_TESTS_TALK_H

#include <cjson/cJSON.h>

#include "ivshmem.h"
#include "tests/load/harness.h"

enum { TALK_PORT = 7, TALK_MS = 120000 /* nothing takes so long */ };

/** talk_join() - a handle that is ready; @callbacks and @context may be NULL */
struct ivshmem *talk_join(const struct test_server *server,
                          const struct ivshmem_callbacks *callbacks, void *context);

/** talk_accept() - take the next offer to TALK_PORT, which is listened on */
struct ivshmem_channel *talk_accept(struct ivshmem *iv);

/** talk_connect() - connect to TALK_PORT of a peer, once it listens there */
struct ivshmem_channel *talk_connect(struct ivshmem *iv, unsigned peer,
                                     const struct ivshmem_connect_options *options);

/**
 * talk_call() - call a method of the control socket
 * @server:     the server, with its control socket beside the peers' one
 * @method:     without the interface
 * @parameters: a JSON object; NULL for none
 *
 * A server that is not ours may be away for a moment: then the call is made again.
 *
 * Return: the answer's parameters, to be deleted; NULL when the answer is an error.
 */
cJSON *talk_call(const struct test_server *server, const char *method, const char *parameters);

/** talk_number() - a number from an answer, found by names one inside the other; NULL ends them */
double talk_number(const cJSON *answer, const char *name, const char *inner);

/** talk_spread() - another number for each one, evenly spread */
uint64_t talk_spread(uint64_t number);

/** talk_ended() - whether a child has ended; the test fails when it did not do so with 0 */
bool talk_ended(pid_t pid, const char *what);

/** talk_await_end() - wait for that */
void talk_await_end(pid_t pid, const char *what, unsigned seconds);

/** talk_shared() - memory that we share with children started from now on, all zero */
void *talk_shared(size_t size);

#endif
