/* SPDX-License-Identifier: MIT
 *
 * Calls of the server's control socket (ivshmem-control.7): one method, one answer.
 */
#ifndef IVSHMEM_CALL_H
#define IVSHMEM_CALL_H

/** enum call_status - exit statuses of ivshmem-client when it calls */
enum call_status {
    CALL_DONE = 0,
    CALL_USAGE = 1,     /* the parameters are no JSON object */
    CALL_NO_SERVER = 2, /* nobody answers on the control socket */
    CALL_REFUSED = 5,   /* the server answered with an error */
};

/**
 * call_run() - call a method and print its answer, a JSON object on a line
 * @path:       path of the peers' socket; the control socket has ".ctl" appended
 * @method:     its name; without a dot, one of io.ivshmem.Server
 * @parameters: a JSON object; NULL for none
 *
 * The answer goes to standard output, what is wrong to standard error.
 *
 * Return: enum call_status.
 */
int call_run(const char *path, const char *method, const char *parameters);

#endif
