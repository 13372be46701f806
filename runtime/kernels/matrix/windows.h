/* The windows of a convolution, one output element after the other: as they lie in the input, or
 * gathered in scratch memory.
 */
#ifndef TOSAIC_MATRIX_WINDOWS_H
#define TOSAIC_MATRIX_WINDOWS_H

#include "tosaic/kernels.h"

/* Takes `count` windows, `step` bytes apart, of the output elements from number `element` on. */
typedef void tosaic_take_windows(const void *context, const void *x, size_t step, size_t count,
                                 size_t element);

/* Hand all windows of `p` to `take`. Elements outside of the input are 0, or of int8 the zero
 * point. `columns` has memory for `at_once` windows, unless they are pointwise.
 */
void tosaic_each_window(const tosaic_conv *p, size_t element_size, const void *input, void *columns,
                        size_t at_once, tosaic_take_windows *take, const void *context);

#endif
