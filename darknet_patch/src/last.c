#include "last.h"

int dk_chunks(int channels)
{
    return (channels + DK_CHUNK - 1) / DK_CHUNK;
}

int dk_chunk_count(int channels, int chunk)
{
    int left = channels - chunk * DK_CHUNK;
    return left < DK_CHUNK ? left : DK_CHUNK;
}

struct dk_run dk_run_last(dk_shape shape, int first, int last)
{
    static const int places[] = {[HEIGHT] = 0, [WIDTH] = 1, [CHANNELS] = 2};
    return dk_run_of((dk_shape){shape.h, shape.w, shape.c}, places[first], places[last]);
}
