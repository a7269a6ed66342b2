/* SPDX-License-Identifier: MIT
 *
 * Comes to a shared memory object the way ACRN's device model does: whoever is first creates it
 * (mode 0600) and gives it its size, everybody else attaches to it only if the size is exactly his
 * own, a power of two; nobody ever removes it.
 *
 *   acrn_attach [-w] NAME SIZE
 *
 * prints "created" or "attached" once the memory is mapped, then takes commands, one on a line:
 * "put TEXT" writes TEXT and a NUL to the start of the memory, "get" prints what is there. It ends
 * with its input. With -w a creator prints "unsized" and waits for a line before it gives the
 * object its size: the moment in which others see an object of 0 bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_SIZE = 256 };

static void say(const char *text)
{
    puts(text);
    fflush(stdout);
}

static int fail(const char *what)
{
    fprintf(stderr, "acrn_attach: %s: %s\n", what, strerror(errno));
    return -1;
}

static int create(int fd, size_t size, bool slowly)
{
    char line[LINE_SIZE];

    if (slowly) {
        say("unsized");
        if (!fgets(line, sizeof(line), stdin))
            return fail("end of input");
    }
    if (ftruncate(fd, (off_t)size) < 0)
        return fail("ftruncate");
    return 0;
}

static int attach(int fd, size_t size)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return fail("fstat");
    if ((size_t)status.st_size != size) {
        fprintf(stderr, "acrn_attach: the object has %lld bytes instead of %zu\n",
                (long long)status.st_size, size);
        return -1;
    }
    return 0;
}

/* Return: the descriptor, or -1 after a message. */
static int open_object(const char *path, size_t size, bool slowly)
{
    int fd = shm_open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    bool created = fd >= 0;

    if (!created && errno == EEXIST)
        fd = shm_open(path, O_RDWR, 0600);
    if (fd < 0)
        return fail("shm_open");
    if ((created ? create(fd, size, slowly) : attach(fd, size)) < 0) {
        close(fd);
        return -1;
    }
    say(created ? "created" : "attached");
    return fd;
}

static void serve(char *memory, size_t size)
{
    char line[LINE_SIZE];

    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "put ", 4) == 0) {
            snprintf(memory, size, "%s", line + 4);
            say("done");
        } else if (strcmp(line, "get") == 0) {
            printf("%.*s\n", LINE_SIZE, memory);
            fflush(stdout);
        }
    }
}

int main(int argc, char **argv)
{
    bool slowly = argc > 1 && strcmp(argv[1], "-w") == 0;
    char path[LINE_SIZE];
    size_t size;
    void *memory;
    int fd;

    if (argc != 3 + slowly) {
        fprintf(stderr, "Usage: acrn_attach [-w] NAME SIZE\n");
        return 2;
    }
    snprintf(path, sizeof(path), "/%s", argv[argc - 2]);
    size = strtoull(argv[argc - 1], NULL, 0);
    if (!size || (size & (size - 1))) {
        fprintf(stderr, "acrn_attach: the size is not a power of two\n");
        return 2;
    }
    fd = open_object(path, size, slowly);
    if (fd < 0)
        return 1;
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory == MAP_FAILED) {
        fail("mmap");
        return 1;
    }
    serve(memory, size);
    munmap(memory, size);
    return 0;
}
