// Operators that only move elements, of any type: CONCAT, PAD, RESHAPE, REVERSE, SLICE, TILE,
// TRANSPOSE, IDENTITY and the access to variables. All but the last are strided copies.
#include <cstring>

#include "operators.h"
#include "tosaic/operators.h"

namespace tosaic {
namespace {

// Row-major strides of `tensor` in bytes.
void strides_of(const Tensor &tensor, ptrdiff_t *strides) {
  auto stride = static_cast<ptrdiff_t>(element_size(tensor.type));
  for (int d = tensor.rank - 1; d >= 0; d--) {
    strides[d] = stride;
    stride *= tensor.shape[d];
  }
}

// Whether the data of `x` lie at least in part where those of `y` do.
bool overlap(const Tensor &x, const Tensor &y) {
  const auto a = reinterpret_cast<uintptr_t>(x.data), b = reinterpret_cast<uintptr_t>(y.data);
  return a - b < y.bytes || b - a < x.bytes;
}

// Copies `size` elements in each of `rank` dimensions, after joining those that lie together.
void copy(int rank, const size_t *size, const ptrdiff_t *from, const ptrdiff_t *to, size_t element,
          const void *input, void *output) {
  tosaic_copy joined = {};
  joined.element_size = element;
  int32_t count = 0;
  for (int d = 0; d < rank; d++) {
    if (size[d] == 1) continue;
    const auto extent = static_cast<ptrdiff_t>(size[d]);
    if (count && joined.input_stride[count - 1] == from[d] * extent &&
        joined.output_stride[count - 1] == to[d] * extent) {
      count--;
      joined.size[count] *= size[d];
    } else {
      joined.size[count] = size[d];
    }
    joined.input_stride[count] = from[d];
    joined.output_stride[count] = to[d];
    count++;
  }
  if (count == 0) {
    joined.size[0] = 1;
    joined.input_stride[0] = joined.output_stride[0] = static_cast<ptrdiff_t>(element);
    count = 1;
  }
  joined.rank = count;
  tosaic_copy_strided(&joined, input, output);
}

// Same type, one that has bytes of its own, and same rank.
bool alike(const Tensor &x, const Tensor &y) {
  return x.type == y.type && x.rank == y.rank && x.type != TOSAIC_SHAPE && element_size(x.type);
}

tosaic_status check_concat(const Step &step) {
  const Tensor &y = step.output(0);
  const int32_t axis = step.attributes()[0];
  if (!step.node->inputs || !is_axis(axis, y)) return TOSAIC_BAD_MODEL;
  int64_t total = 0;
  for (size_t k = 0; k < step.node->inputs; k++) {
    const Tensor &x = step.input(k);
    if (!alike(x, y)) return TOSAIC_BAD_MODEL;
    for (int d = 0; d < y.rank; d++) {
      if (d != axis && x.shape[d] != y.shape[d]) return TOSAIC_BAD_MODEL;
    }
    total += x.shape[axis];
  }
  return verdict(total == y.shape[axis]);
}

// Copies the inputs that lie inside of the output, or the others. One that is where it belongs
// stays; one at the output's end is copied forward, row by row, and no row onto one that is still
// to come.
void concat(const Step &step, bool inside) {
  const Tensor &y = step.output(0);
  const int32_t axis = step.attributes()[0];
  ptrdiff_t from[TOSAIC_MAX_RANK], to[TOSAIC_MAX_RANK];
  strides_of(y, to);
  auto *output = static_cast<char *>(y.data);
  for (size_t k = 0; k < step.node->inputs; k++) {
    const Tensor &x = step.input(k);
    size_t size[TOSAIC_MAX_RANK];
    strides_of(x, from);
    for (int d = 0; d < x.rank; d++) size[d] = static_cast<size_t>(x.shape[d]);
    if (x.data != output && overlap(x, y) == inside) {
      copy(x.rank, size, from, to, element_size(x.type), x.data, output);
    }
    output += to[axis] * x.shape[axis];
  }
}

tosaic_status run_concat(const Step &step) {
  concat(step, true);
  concat(step, false);
  return TOSAIC_OK;
}

bool make_pad(const Step &step, int32_t *padding) {
  const Tensor &x = step.input(0), &y = step.output(0), &value = step.input(2);
  const auto rank = static_cast<size_t>(x.rank);
  if (!alike(x, y) || value.type != x.type || elements(value) != 1 ||
      !constant_shape(step.input(1), 2 * rank, padding)) {
    return false;
  }
  for (size_t d = 0; d < rank; d++) {
    const int32_t before = padding[2 * d], after = padding[2 * d + 1];
    if (before < 0 || after < 0 || int64_t{x.shape[d]} + before + after != y.shape[d]) return false;
  }
  return true;
}

tosaic_status check_pad(const Step &step) {
  int32_t padding[2 * TOSAIC_MAX_RANK];
  return verdict(make_pad(step, padding));
}

tosaic_status run_pad(const Step &step) {
  const Tensor &x = step.input(0), &y = step.output(0);
  int32_t padding[2 * TOSAIC_MAX_RANK];
  ptrdiff_t from[TOSAIC_MAX_RANK], to[TOSAIC_MAX_RANK];
  size_t size[TOSAIC_MAX_RANK];
  if (!make_pad(step, padding)) return TOSAIC_BAD_MODEL;
  strides_of(x, from);
  strides_of(y, to);
  auto *output = static_cast<char *>(y.data);
  tosaic_fill(elements(y), element_size(y.type), step.input(2).data, output);
  for (int d = 0; d < x.rank; d++) {
    size[d] = static_cast<size_t>(x.shape[d]);
    output += to[d] * padding[2 * d];
  }
  copy(x.rank, size, from, to, element_size(x.type), x.data, output);
  return TOSAIC_OK;
}

tosaic_status check_reshape(const Step &step) {
  const Tensor &x = step.input(0), &y = step.output(0);
  return verdict(x.type == y.type && x.type != TOSAIC_SHAPE && x.bytes == y.bytes &&
                 elements(x) == elements(y));
}

tosaic_status check_identity(const Step &step) {
  return verdict(same(step.input(0), step.output(0)));
}

tosaic_status run_move(const Step &step) {
  const Tensor &x = step.input(0), &y = step.output(0);
  if (x.data != y.data) std::memmove(y.data, x.data, y.bytes);
  return TOSAIC_OK;
}

tosaic_status run_nothing(const Step &) { return TOSAIC_OK; }

tosaic_status check_reverse(const Step &step) {
  const Tensor &x = step.input(0);
  return verdict(alike(x, step.output(0)) && same(x, step.output(0)) &&
                 is_axis(step.attributes()[0], x));
}

tosaic_status run_reverse(const Step &step) {
  const Tensor &x = step.input(0), &y = step.output(0);
  const int32_t axis = step.attributes()[0];
  ptrdiff_t from[TOSAIC_MAX_RANK], to[TOSAIC_MAX_RANK];
  size_t size[TOSAIC_MAX_RANK];
  strides_of(x, from);
  strides_of(y, to);
  for (int d = 0; d < x.rank; d++) size[d] = static_cast<size_t>(x.shape[d]);
  const char *last = static_cast<const char *>(x.data) + from[axis] * (x.shape[axis] - 1);
  from[axis] = -from[axis];
  copy(x.rank, size, from, to, element_size(x.type), last, y.data);
  return TOSAIC_OK;
}

bool make_slice(const Step &step, int32_t *start) {
  const Tensor &x = step.input(0), &y = step.output(0);
  const auto rank = static_cast<size_t>(x.rank);
  int32_t size[TOSAIC_MAX_RANK];
  if (!alike(x, y) || !constant_shape(step.input(1), rank, start) ||
      !constant_shape(step.input(2), rank, size)) {
    return false;
  }
  for (size_t d = 0; d < rank; d++) {
    if (start[d] < 0 || size[d] != y.shape[d] || int64_t{start[d]} + size[d] > x.shape[d]) {
      return false;
    }
  }
  return true;
}

bool always(const Step &) { return true; }

// A slice off the front of the outermost dimension that is not 1.
bool is_front(const Step &step) {
  const Tensor &x = step.input(0), &y = step.output(0);
  int32_t start[TOSAIC_MAX_RANK];
  if (!make_slice(step, start)) return false;
  int cut = 0;
  while (cut < x.rank && x.shape[cut] == 1) cut++;
  for (int d = 0; d < x.rank; d++) {
    if (start[d] || (d != cut && x.shape[d] != y.shape[d])) return false;
  }
  return true;
}

tosaic_status check_slice(const Step &step) {
  int32_t start[TOSAIC_MAX_RANK];
  return verdict(make_slice(step, start));
}

tosaic_status run_slice(const Step &step) {
  const Tensor &x = step.input(0), &y = step.output(0);
  int32_t start[TOSAIC_MAX_RANK];
  ptrdiff_t from[TOSAIC_MAX_RANK], to[TOSAIC_MAX_RANK];
  size_t size[TOSAIC_MAX_RANK];
  if (x.data == y.data) return TOSAIC_OK;  // as they must be where both are constant
  if (!make_slice(step, start)) return TOSAIC_BAD_MODEL;
  strides_of(x, from);
  strides_of(y, to);
  const char *first = static_cast<const char *>(x.data);
  for (int d = 0; d < x.rank; d++) {
    size[d] = static_cast<size_t>(y.shape[d]);
    first += from[d] * start[d];
  }
  if (first != y.data) copy(x.rank, size, from, to, element_size(x.type), first, y.data);
  return TOSAIC_OK;
}

bool make_tile(const Step &step, int32_t *multiples) {
  const Tensor &x = step.input(0), &y = step.output(0);
  if (!alike(x, y) || !constant_shape(step.input(1), x.rank, multiples)) return false;
  for (int d = 0; d < x.rank; d++) {
    if (multiples[d] < 1 || int64_t{x.shape[d]} * multiples[d] != y.shape[d]) return false;
  }
  return true;
}

tosaic_status check_tile(const Step &step) {
  int32_t multiples[TOSAIC_MAX_RANK];
  return verdict(make_tile(step, multiples));
}

// Each dimension becomes two: which tile, and where in it.
tosaic_status run_tile(const Step &step) {
  const Tensor &x = step.input(0), &y = step.output(0);
  int32_t multiples[TOSAIC_MAX_RANK];
  ptrdiff_t input_stride[TOSAIC_MAX_RANK], output_stride[TOSAIC_MAX_RANK];
  ptrdiff_t from[2 * TOSAIC_MAX_RANK], to[2 * TOSAIC_MAX_RANK];
  size_t size[2 * TOSAIC_MAX_RANK];
  if (!make_tile(step, multiples)) return TOSAIC_BAD_MODEL;
  strides_of(x, input_stride);
  strides_of(y, output_stride);
  for (int d = 0; d < x.rank; d++) {
    size[2 * d] = static_cast<size_t>(multiples[d]);
    from[2 * d] = 0;
    to[2 * d] = output_stride[d] * x.shape[d];
    size[2 * d + 1] = static_cast<size_t>(x.shape[d]);
    from[2 * d + 1] = input_stride[d];
    to[2 * d + 1] = output_stride[d];
  }
  copy(2 * x.rank, size, from, to, element_size(x.type), x.data, y.data);
  return TOSAIC_OK;
}

bool is_permuted(const Step &step) {
  const Tensor &x = step.input(0), &y = step.output(0);
  const int32_t *perms = step.attributes();
  if (!alike(x, y) || !in_range(perms, x.rank, 0, x.rank - 1) ||
      !in_range(perms + x.rank, size_t{TOSAIC_MAX_RANK} - x.rank, -1, -1)) {
    return false;
  }
  uint32_t seen = 0;
  for (int d = 0; d < x.rank; d++) {
    if (y.shape[d] != x.shape[perms[d]]) return false;
    seen |= 1U << perms[d];
  }
  return seen == (1U << x.rank) - 1;
}

tosaic_status check_transpose(const Step &step) { return verdict(is_permuted(step)); }

tosaic_status run_transpose(const Step &step) {
  const Tensor &x = step.input(0), &y = step.output(0);
  const int32_t *perms = step.attributes();
  ptrdiff_t strides[TOSAIC_MAX_RANK], from[TOSAIC_MAX_RANK], to[TOSAIC_MAX_RANK] = {};
  size_t size[TOSAIC_MAX_RANK];
  strides_of(x, strides);
  strides_of(y, to);
  for (int d = 0; d < x.rank; d++) {
    from[d] = strides[perms[d]];
    size[d] = static_cast<size_t>(y.shape[d]);
  }
  copy(x.rank, size, from, to, element_size(x.type), x.data, y.data);
  return TOSAIC_OK;
}

}  // namespace
}  // namespace tosaic

#define OPERATOR(NAME, OP, ATTRIBUTE, INPUTS, OUTPUTS, ALIASES, CHECK, RUN)        \
  const tosaic_operator tosaic_op_##NAME = {tosa::Op::OP,                          \
                                            tosa::Attribute::ATTRIBUTE##Attribute, \
                                            tosaic_operator::kAny,                 \
                                            tosaic_operator::kAny,                 \
                                            INPUTS,                                \
                                            OUTPUTS,                               \
                                            0,                                     \
                                            tosaic::CHECK,                         \
                                            tosaic::RUN,                           \
                                            nullptr,                               \
                                            ALIASES,                               \
                                            {},                                    \
                                            0,                                     \
                                            0,                                     \
                                            nullptr};

OPERATOR(concat, CONCAT, Concat, tosaic_operator::kAny, 1, nullptr, check_concat, run_concat)
OPERATOR(pad, PAD, Pad, 3, 1, nullptr, check_pad, run_pad)
OPERATOR(reshape, RESHAPE, Reshape, 2, 1, tosaic::always, check_reshape, run_move)
OPERATOR(reverse, REVERSE, Reverse, 1, 1, nullptr, check_reverse, run_reverse)
OPERATOR(slice, SLICE, Slice, 3, 1, tosaic::is_front, check_slice, run_slice)
OPERATOR(tile, TILE, Tile, 2, 1, nullptr, check_tile, run_tile)
OPERATOR(transpose, TRANSPOSE, Transpose, 1, 1, nullptr, check_transpose, run_transpose)
OPERATOR(identity, IDENTITY, Identity, 1, 1, tosaic::always, check_identity, run_move)
// tosa-opt writes accesses to variables as IDENTITY with the attribute of these.
OPERATOR(variable, VARIABLE, Variable, 0, 1, nullptr, run_nothing, run_nothing)
OPERATOR(variable_read, VARIABLE_READ, VariableRead, 1, 1, nullptr, check_identity, run_move)
OPERATOR(variable_write, VARIABLE_WRITE, VariableWrite, 1, 1, nullptr, check_identity, run_move)
