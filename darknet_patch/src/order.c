/* Maps from C, H, W to H, W, C and back: transposes in tiles that stay in the cache. */
#include "plan.h"

enum { TILE = 32 };

static int min(int a, int b)
{
    return a < b ? a : b;
}

/* to[column][row] = from[row][column] */
static void transpose(const float *from, float *to, int rows, int columns)
{
#pragma omp parallel for if ((size_t)rows * (size_t)columns > DK_MANY)
    for (int row = 0; row < rows; row += TILE) {
        int last_row = min(row + TILE, rows);
        for (int column = 0; column < columns; column += TILE) {
            int last_column = min(column + TILE, columns);
            for (int c = column; c < last_column; c++) {
                for (int r = row; r < last_row; r++) {
                    to[(size_t)c * (size_t)rows + r] = from[(size_t)r * (size_t)columns + c];
                }
            }
        }
    }
}

void dk_to_last(const float *from, float *to, int channels, int cells)
{
    transpose(from, to, channels, cells);
}

void dk_to_first(const float *from, float *to, int channels, int cells)
{
    transpose(from, to, cells, channels);
}
