/* SPDX-License-Identifier: MIT
 *
 * See failure.h.
 */
#include "common/failure.h"

#include <stdarg.h>
#include <stdio.h>

int failure_set(struct failure *failure, int error, const char *format, ...)
{
    va_list arguments;

    if (failure) {
        va_start(arguments, format);
        vsnprintf(failure->text, sizeof(failure->text), format, arguments);
        va_end(arguments);
    }
    return -error;
}
