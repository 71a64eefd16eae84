/* What a layer's section must fulfil before upstream makes the layer. */
#ifndef DK_SHAPES_H
#define DK_SHAPES_H

/* Fails when a product of five sizes, as upstream forms it in int, would overflow. */
void dk_check_size(const char *what, double a, double b, double c, double d, double e);
/* Fails unless the layer before gives a map with channels, height and width. */
void dk_need_image(int inputs, int c, int h, int w);
/* How often a window fits into `cells` cells, padding included; fails when it never does. */
int dk_window_count(const char *axis, int size, int stride, int cells, long padding);
#endif
