/* Stand-in for the CUDA runtime, of neuraltalk-provision's tests. Its cards are lines of /etc/standin-gpus
   (`name;major;minor;bytes[;uuid]`; STANDIN_GPUS names another file), its driver the version in /etc/standin-driver
   (or STANDIN_DRIVER itself). Without the first there is no card, without the second any driver will do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cuda_runtime_api.h"

enum { MOST = 64, LINE = 512 };

struct card {
    struct cudaDeviceProp prop;
    char uuid[64];
};

/* Which releases a driver runs: its least version for each. */
static const struct { int cuda; const char *driver; } drivers[] = {@DRIVERS@};

static __thread int current;

static int compare_versions(const char *one, const char *two)
{
    while (*one || *two) {
        char *end_one, *end_two;
        long a = strtol(one, &end_one, 10), b = strtol(two, &end_two, 10);
        if (a != b)
            return a < b ? -1 : 1;
        one = *end_one == '.' ? end_one + 1 : "";
        two = *end_two == '.' ? end_two + 1 : "";
    }
    return 0;
}

/* The version of the driver; 0 where none is told. */
static int read_driver(char *text, size_t size)
{
    const char *given = getenv("STANDIN_DRIVER");
    FILE *file;
    int found = 0;
    if (given) {
        snprintf(text, size, "%s", given);
        return given[0] != '\0';
    }
    file = fopen("/etc/standin-driver", "r");
    if (file) {
        found = fgets(text, (int)size, file) != NULL;
        fclose(file);
    }
    return found;
}

static int driver_is_too_old(void)
{
    char text[LINE];
    return read_driver(text, sizeof text) && compare_versions(text, "@LEAST_DRIVER@") < 0;
}

static int read_line(const char *line, struct card *card)
{
    unsigned long long bytes;
    memset(card, 0, sizeof *card);
    if (sscanf(line, "%255[^;];%d;%d;%llu;%63s", card->prop.name, &card->prop.major, &card->prop.minor, &bytes,
               card->uuid) < 4)
        return 0;
    card->prop.totalGlobalMem = (size_t)bytes;
    card->prop.multiProcessorCount = 13;
    card->prop.warpSize = 32;
    return 1;
}

static int read_all(struct card *cards)
{
    const char *given = getenv("STANDIN_GPUS");
    FILE *file = fopen(given ? given : "/etc/standin-gpus", "r");
    char line[LINE];
    int count = 0;
    if (!file)
        return 0;
    while (count < MOST && fgets(line, sizeof line, file))
        if (line[0] != '#')
            count += read_line(line, &cards[count]);
    fclose(file);
    return count;
}

/* The place of the card that a word of CUDA_VISIBLE_DEVICES names, by index or by the beginning of its UUID. */
static int find(const struct card *cards, int count, const char *word)
{
    char *end;
    long index;
    int i;
    if (strncmp(word, "GPU-", 4) == 0) {
        for (i = 0; i < count; i++)
            if (strncmp(cards[i].uuid, word, strlen(word)) == 0)
                return i;
        return -1;
    }
    index = strtol(word, &end, 10);
    return end != word && *end == '\0' && index >= 0 && index < count ? (int)index : -1;
}

/* The cards that are visible, in the order that was asked for; the first word that names none ends the list. */
static int read_visible(struct card *cards)
{
    static __thread struct card all[MOST];
    const char *given = getenv("CUDA_VISIBLE_DEVICES");
    int count = read_all(all), visible = 0;
    char *copy, *word, *rest = NULL;
    if (!given) {
        memcpy(cards, all, sizeof *all * (size_t)count);
        return count;
    }
    copy = strdup(given);
    for (word = strtok_r(copy, ", ", &rest); word && visible < MOST; word = strtok_r(NULL, ", ", &rest)) {
        int place = find(all, count, word);
        if (place < 0)
            break;
        cards[visible++] = all[place];
    }
    free(copy);
    return visible;
}

static cudaError_t look(int device, struct card *card)
{
    static __thread struct card cards[MOST];
    int count = read_visible(cards);
    if (driver_is_too_old())
        return cudaErrorInsufficientDriver;
    if (count == 0)
        return cudaErrorNoDevice;
    if (device < 0 || device >= count)
        return cudaErrorInvalidDevice;
    *card = cards[device];
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    static __thread struct card cards[MOST];
    *count = 0;
    if (driver_is_too_old())
        return cudaErrorInsufficientDriver;
    *count = read_visible(cards);
    return *count ? cudaSuccess : cudaErrorNoDevice;
}

cudaError_t cudaGetDevice(int *device)
{
    struct card card;
    *device = current;
    return look(current, &card);
}

cudaError_t cudaSetDevice(int device)
{
    struct card card;
    cudaError_t error = look(device, &card);
    if (error == cudaSuccess)
        current = device;
    return error;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device)
{
    struct card card;
    cudaError_t error = look(device, &card);
    if (error == cudaSuccess)
        *prop = card.prop;
    return error;
}

/* A context takes its part, as on a real card. */
cudaError_t cudaMemGetInfo(size_t *free, size_t *total)
{
    struct card card;
    cudaError_t error = look(current, &card);
    if (error != cudaSuccess)
        return error;
    *total = card.prop.totalGlobalMem;
    *free = *total - *total / 64;
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize(void)
{
    struct card card;
    return look(current, &card);
}

cudaError_t cudaGetLastError(void) { return cudaSuccess; }

const char *cudaGetErrorString(cudaError_t error)
{
    switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInsufficientDriver: return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    }
    return "unknown error";
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    char text[LINE];
    size_t i;
    *version = CUDART_VERSION;
    if (!read_driver(text, sizeof text))
        return cudaSuccess;
    *version = 0;
    for (i = 0; i < sizeof drivers / sizeof *drivers; i++)
        if (compare_versions(drivers[i].driver, text) <= 0)
            *version = drivers[i].cuda;
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **place, size_t size)
{
    *place = malloc(size ? size : 1);
    return *place ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaFree(void *place)
{
    free(place);
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t size, enum cudaMemcpyKind kind)
{
    (void)kind;
    memcpy(to, from, size);
    return cudaSuccess;
}
