/* disk.h: a disk that fails on order. Defined here, the system calls below take the place of libc's in the whole test
 * program, so that those of SQLite and our own fail alike; a program has it in one file.
 *
 * Counted from 1 are: a write, a sync, a change of length, an open, a removal. Of those the n-th fails, once or with all
 * that follow. A disk that stays full (ENOSPC) refuses writes alone, and they alone are counted. With errno 0 the call
 * is only a moment to do something else in. */
#ifndef TESTS_UNIT_STORE_DISK_H
#define TESTS_UNIT_STORE_DISK_H

#include <check.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

enum disk_call { DISK_WRITE, DISK_OTHER };

static struct {
    atomic_long left;         /* calls until the first that fails, itself included; 0: none will */
    atomic_bool failing;      /* that one has come, and those behind it fail, too */
    atomic_long failed;       /* calls that did */
    atomic_int code;          /* their errno */
    atomic_bool stays, torn;  /* until disk_repair; a write that fails has written half before */
    void (*on_failure)(void); /* called with the first; may be NULL */
} disk;

static inline void disk_fail_at(long n, int code, bool stays, bool torn)
{
    disk.code = code;
    disk.stays = stays;
    disk.torn = torn;
    atomic_store(&disk.failing, false);
    atomic_store(&disk.failed, 0);
    atomic_store(&disk.left, n);
}

static inline void disk_repair(void)
{
    atomic_store(&disk.left, 0);
    atomic_store(&disk.failing, false);
}

static inline bool disk_has_failed(void)
{
    return atomic_load(&disk.failed) > 0;
}

/* Whether this call is to fail. */
static bool disk_fails(enum disk_call call)
{
    if (disk.stays && disk.code == ENOSPC && call != DISK_WRITE)
        return false;
    if (!atomic_load(&disk.failing)) {
        if (atomic_load(&disk.left) == 0 || atomic_fetch_sub(&disk.left, 1) != 1)
            return false;
        atomic_store(&disk.failing, disk.stays);
        if (disk.on_failure)
            disk.on_failure();
        if (disk.code == 0)
            return false;
    }
    atomic_fetch_add(&disk.failed, 1);
    errno = disk.code;
    return true;
}

/* libc's own, or the sanitizer's. */
#define DISK_REAL(result, name, ...)                                                                                   \
    static result (*real)(__VA_ARGS__);                                                                                \
    if (!real) {                                                                                                       \
        void *found_ = dlsym(RTLD_NEXT, name);                                                                         \
        memcpy(&real, &found_, sizeof(real));                                                                          \
    }

static ssize_t disk_pwrite(int fd, const void *p, size_t n, off_t at)
{
    DISK_REAL(ssize_t, "pwrite", int, const void *, size_t, off_t)

    if (!disk_fails(DISK_WRITE))
        return real(fd, p, n, at);
    if (disk.torn && n > 1)
        (void)!real(fd, p, n / 2, at);
    errno = disk.code;
    return -1;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    return disk_pwrite(fd, p, n, at);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
    return disk_pwrite(fd, p, n, at);
}

int ftruncate(int fd, off_t n)
{
    DISK_REAL(int, "ftruncate", int, off_t)

    return disk_fails(DISK_OTHER) ? -1 : real(fd, n);
}

int ftruncate64(int fd, off64_t n)
{
    return ftruncate(fd, n);
}

int fsync(int fd)
{
    DISK_REAL(int, "fsync", int)

    return disk_fails(DISK_OTHER) ? -1 : real(fd);
}

int fdatasync(int fd)
{
    DISK_REAL(int, "fdatasync", int)

    return disk_fails(DISK_OTHER) ? -1 : real(fd);
}

int unlink(const char *path)
{
    DISK_REAL(int, "unlink", const char *)

    return disk_fails(DISK_OTHER) ? -1 : real(path);
}

static int disk_open(const char *path, int flags, mode_t mode)
{
    DISK_REAL(int, "open", const char *, int, ...)

    return disk_fails(DISK_OTHER) ? -1 : real(path, flags, mode);
}

#define DISK_MODE(flags, mode)                                                                                         \
    do {                                                                                                               \
        va_list ap_;                                                                                                   \
        va_start(ap_, flags);                                                                                          \
        if ((flags)&O_CREAT)                                                                                           \
            (mode) = va_arg(ap_, mode_t);                                                                              \
        va_end(ap_);                                                                                                   \
    } while (0)

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;

    DISK_MODE(flags, mode);
    return disk_open(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    mode_t mode = 0;

    DISK_MODE(flags, mode);
    return disk_open(path, flags, mode);
}

#endif
