/* replay.c: main() for a fuzz target without a fuzzer: runs every seed of its corpus, and a few broken forms of each. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* tests/fuzz/corpus/NAME for .../NAME_replay */
static void corpus_folder(char *out, size_t n, const char *program)
{
    const char *name = strrchr(program, '/');
    int length;

    name = name ? name + 1 : program;
    length = (int)strlen(name) - (int)strlen("_replay");
    snprintf(out, n, "tests/fuzz/corpus/%.*s", length > 0 ? length : 0, name);
}

static size_t read_whole(const char *path, uint8_t **bytes)
{
    FILE *f = fopen(path, "rb");
    size_t n = 0;
    long size;

    *bytes = NULL;
    if (!f)
        return 0;
    if (fseek(f, 0, SEEK_END) == 0 && (size = ftell(f)) >= 0 && fseek(f, 0, SEEK_SET) == 0) {
        *bytes = malloc((size_t)size + 1);
        n = *bytes ? fread(*bytes, 1, (size_t)size, f) : 0;
    }
    fclose(f);
    return n;
}

/* The input, every beginning of a small one, and single bytes flipped. A copy of the exact size shows overreads. */
static void run_forms(const uint8_t *bytes, size_t n)
{
    size_t step = n < 512 ? 1 : n / 512 + 1;

    for (size_t cut = 0; cut <= n; cut = cut < n && cut + step > n ? n : cut + step) {
        uint8_t *copy = malloc(cut ? cut : 1);

        if (!copy)
            abort();
        memcpy(copy, bytes, cut);
        LLVMFuzzerTestOneInput(copy, cut);
        if (cut)
            copy[cut - 1] ^= (uint8_t)(1u << cut % 8);
        LLVMFuzzerTestOneInput(copy, cut);
        free(copy);
        if (cut == n)
            break;
    }
}

int main(int argc, char **argv)
{
    char folder[512], path[1024];
    struct dirent *entry;
    int passed = 0;
    DIR *dir;

    (void)argc;
    corpus_folder(folder, sizeof(folder), argv[0]);
    dir = opendir(folder);
    if (!dir) {
        printf("%s: no such folder\n0 passed, 1 failed, 0 skipped\n", folder);
        return 1;
    }
    while ((entry = readdir(dir))) {
        uint8_t *bytes;
        size_t n;

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        n = read_whole(path, &bytes);
        run_forms(bytes, n);
        free(bytes);
        passed++;
    }
    closedir(dir);
    printf("%d passed, %d failed, 0 skipped\n", passed, passed == 0);
    return passed == 0;
}
