/* Preloaded into a process: each fsync and fdatasync takes SLOW_SYNC_US microseconds more, as on slow flash. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static int slowly(const char *name, int file)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    const char *more = getenv("SLOW_SYNC_US");
    if (more)
        usleep((useconds_t)atoi(more));
    return real(file);
}

int fsync(int file) { return slowly("fsync", file); }
int fdatasync(int file) { return slowly("fdatasync", file); }
