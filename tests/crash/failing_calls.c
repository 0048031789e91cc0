/* System calls that fail when they are told to: preloaded into a process, and driven by it.
 *
 *     failing_arm("/tmp/x/", 17, 1, EIO, 0)   the 17th call on a file below /tmp/x/ fails with EIO
 *     failing_arm("/tmp/x/", 17, 3, ENOSPC, 0)    … and the two after it
 *     failing_arm("/tmp/x/", 17, 1, 0, 1)     … or, if it writes, writes half of what it should
 *     failing_met()                           how many have failed
 *     failing_seen()                          how many calls there were
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char below[4096];
static long at, times, seen, met;
static int code, is_short;

void failing_arm(const char *folder, long first, long count, int error, int shortened)
{
    snprintf(below, sizeof below, "%s", folder);
    at = first;
    times = count;
    code = error;
    is_short = shortened;
    seen = met = 0;
}

long failing_met(void) { return met; }
long failing_seen(void) { return seen; }

static int is_ours(int descriptor)
{
    char link[64], path[4096];
    if (!below[0] || descriptor < 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0)
        return 0;
    path[size] = 0;
    return strncmp(path, below, strlen(below)) == 0;
}

/* 1 when this call fails, 2 when it writes half. */
static int fails(int descriptor, int writes)
{
    if (!is_ours(descriptor))
        return 0;
    seen++;
    if (seen < at || seen >= at + times)
        return 0;
    if (is_short && !writes)
        return 0;
    met++;
    if (is_short)
        return 2;
    errno = code;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define WRITES(name, give)                                       \
    switch (fails(descriptor, 1)) {                              \
    case 1: return -1;                                           \
    case 2: size = size > 1 ? size / 2 : size;                   \
    }                                                            \
    return REAL(name) give;

ssize_t write(int descriptor, const void *data, size_t size)
{ WRITES(write, (descriptor, data, size)) }

ssize_t pwrite(int descriptor, const void *data, size_t size, off_t offset)
{ WRITES(pwrite, (descriptor, data, size, offset)) }

ssize_t pwrite64(int descriptor, const void *data, size_t size, off64_t offset)
{ WRITES(pwrite64, (descriptor, data, size, offset)) }

ssize_t writev(int descriptor, const struct iovec *parts, int size)
{ WRITES(writev, (descriptor, parts, size)) }

ssize_t pwritev(int descriptor, const struct iovec *parts, int size, off_t offset)
{ WRITES(pwritev, (descriptor, parts, size, offset)) }

ssize_t pwritev64(int descriptor, const struct iovec *parts, int size, off64_t offset)
{ WRITES(pwritev64, (descriptor, parts, size, offset)) }

int fsync(int descriptor)
{ return fails(descriptor, 0) ? -1 : REAL(fsync)(descriptor); }

int fdatasync(int descriptor)
{ return fails(descriptor, 0) ? -1 : REAL(fdatasync)(descriptor); }

int ftruncate(int descriptor, off_t size)
{ return fails(descriptor, 0) ? -1 : REAL(ftruncate)(descriptor, size); }

int ftruncate64(int descriptor, off64_t size)
{ return fails(descriptor, 0) ? -1 : REAL(ftruncate64)(descriptor, size); }

int posix_fallocate(int descriptor, off_t offset, off_t size)
{ return fails(descriptor, 0) ? code : REAL(posix_fallocate)(descriptor, offset, size); }

int posix_fallocate64(int descriptor, off64_t offset, off64_t size)
{ return fails(descriptor, 0) ? code : REAL(posix_fallocate64)(descriptor, offset, size); }

void *mmap(void *place, size_t size, int access, int flags, int descriptor, off_t offset)
{
    if (fails(descriptor, 0)) {
        if (errno == EIO || errno == ENOSPC)
            errno = ENOMEM; /* what a map fails with */
        return MAP_FAILED;
    }
    return REAL(mmap)(place, size, access, flags, descriptor, offset);
}

void *mmap64(void *place, size_t size, int access, int flags, int descriptor, off64_t offset)
{
    if (fails(descriptor, 0)) {
        if (errno == EIO || errno == ENOSPC)
            errno = ENOMEM;
        return MAP_FAILED;
    }
    return REAL(mmap64)(place, size, access, flags, descriptor, offset);
}

ssize_t pread(int descriptor, void *data, size_t size, off_t offset)
{ return fails(descriptor, 0) ? -1 : REAL(pread)(descriptor, data, size, offset); }

ssize_t pread64(int descriptor, void *data, size_t size, off64_t offset)
{ return fails(descriptor, 0) ? -1 : REAL(pread64)(descriptor, data, size, offset); }
