/* SPDX-License-Identifier: MIT
 *
 * See failure.h.
 */
#include "common/failure.h"

#include <stdarg.h>
#include <stdio.h>

void failure_describe(struct failure *failure, const char *format, ...)
{
    va_list arguments;

    if (!failure)
        return;
    va_start(arguments, format);
    vsnprintf(failure->text, sizeof(failure->text), format, arguments);
    va_end(arguments);
}
