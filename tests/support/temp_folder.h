/* A folder of a test's own, removed with all that is in it. */
#ifndef PS_TESTS_SUPPORT_TEMP_FOLDER_H
#define PS_TESTS_SUPPORT_TEMP_FOLDER_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct temp_folder {
    char path[64];
};

static inline void temp_folder_make(struct temp_folder *folder)
{
    (void)snprintf(folder->path, sizeof folder->path, "/tmp/popsim-test-XXXXXX");
    if (mkdtemp(folder->path) == NULL) {
        perror(folder->path);
        abort();
    }
}

static inline int temp_folder_remove_one(const char *path, const struct stat *info, int type,
                                         struct FTW *at)
{
    (void)info;
    (void)type;
    (void)at;
    return remove(path);
}

static inline void temp_folder_remove(struct temp_folder *folder)
{
    (void)nftw(folder->path, temp_folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
