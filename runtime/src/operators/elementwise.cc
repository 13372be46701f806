// Elementwise operators with TOSA's broadcasting (section 1.10: equal ranks, dims of 1 repeat).
#include <algorithm>
#include <cstring>

#include "operators.h"
#include "tosaic/operators.h"

namespace tosaic {
namespace {

constexpr size_t kMaxInputs = 3;

// Whether the first `count` inputs broadcast to the output's shape.
bool broadcasts(const Step &step, size_t count) {
  const Tensor &y = step.output(0);
  bool reached[TOSAIC_MAX_RANK] = {};
  for (size_t k = 0; k < count; k++) {
    const Tensor &x = step.input(k);
    if (x.rank != y.rank) return false;
    for (int d = 0; d < y.rank; d++) {
      if (x.shape[d] != y.shape[d] && x.shape[d] != 1) return false;
      reached[d] |= x.shape[d] == y.shape[d];
    }
  }
  for (int d = 0; d < y.rank; d++) {
    if (!reached[d]) return false;
  }
  return true;
}

// Runs the kernel row by row. Dimensions that are contiguous for all operands become one first, so
// that most calls are a single row.
void apply(const Step &step, const void *argument) {
  const Tensor &y = step.output(0);
  const size_t count = std::min<size_t>(step.op().operands, kMaxInputs);
  size_t size[TOSAIC_MAX_RANK + 1] = {1};
  size_t stride[kMaxInputs][TOSAIC_MAX_RANK + 1] = {{1}, {1}, {1}};
  size_t running[kMaxInputs] = {1, 1, 1};
  int rank = 0;  // innermost first
  for (int d = y.rank - 1; d >= 0; d--) {
    if (y.shape[d] == 1) continue;
    bool joins = rank > 0;
    size_t next[kMaxInputs] = {};
    for (size_t k = 0; k < count; k++) {
      const int32_t dim = step.input(k).shape[d];
      next[k] = dim == 1 ? 0 : running[k];
      running[k] *= static_cast<size_t>(dim);
      joins = joins && next[k] == stride[k][rank - 1] * size[rank - 1];
    }
    if (joins) {
      size[rank - 1] *= static_cast<size_t>(y.shape[d]);
      continue;
    }
    size[rank] = static_cast<size_t>(y.shape[d]);
    for (size_t k = 0; k < count; k++) stride[k][rank] = next[k];
    rank++;
  }
  const void *inputs[kMaxInputs] = {};
  size_t steps[kMaxInputs] = {};
  size_t index[TOSAIC_MAX_RANK + 1] = {};
  for (size_t k = 0; k < count; k++) {
    const Tensor &x = step.input(k);
    inputs[k] = x.data;
    steps[k] = stride[k][0];
    for (int d = 0; d < rank; d++) stride[k][d] *= element_size(x.type);  // bytes from here on
  }
  auto *output = static_cast<char *>(y.data);
  const size_t row_bytes = size[0] * element_size(y.type);
  tosaic_row *const row = step.op().kernel.row;
  while (true) {
    row(size[0], inputs, steps, output, argument);
    output += row_bytes;
    int d = 1;
    for (; d < rank; d++) {
      const bool again = ++index[d] == size[d];  // from the dimension's first element
      const size_t back = again ? size[d] - 1 : 0;
      for (size_t k = 0; k < count; k++) {
        const char *const at = static_cast<const char *>(inputs[k]);
        inputs[k] = again ? at - stride[k][d] * back : at + stride[k][d];
      }
      if (!again) break;
      index[d] = 0;
    }
    if (d >= rank) return;
  }
}

template <size_t count>
tosaic_status check(const Step &step) {
  bool fits = step.output(0).type == step.op().result_type && broadcasts(step, count);
  for (size_t k = 1; k < count; k++) fits = fits && step.input(k).type == step.input(0).type;
  return verdict(fits);
}

tosaic_status run(const Step &step) {
  Argument storage;
  const tosaic_operator &op = step.op();
  apply(step, op.argument ? op.argument(step, &storage) : nullptr);
  return TOSAIC_OK;
}

bool make_negate(const Step &step, tosaic_negate *negate) {
  return step.input(1).type == step.input(0).type && step.input(2).type == step.input(0).type &&
         constant_scalar(step.input(1), &negate->input_zp) &&
         constant_scalar(step.input(2), &negate->output_zp);
}

tosaic_status check_negate(const Step &step) {
  tosaic_negate negate;
  return verdict(check<1>(step) == TOSAIC_OK && make_negate(step, &negate));
}

const void *negate_argument(const Step &step, Argument *storage) {
  make_negate(step, &storage->negate);
  return storage;
}

tosaic_status check_clamp(const Step &step) {
  tosaic_clamp clamp;
  return verdict(check<1>(step) == TOSAIC_OK &&
                 clamp_limits(step.input(0).type, step.attributes(), &clamp));
}

const void *clamp_argument(const Step &step, Argument *storage) {
  clamp_limits(step.input(0).type, step.attributes(), &storage->clamp);
  return storage;
}

tosaic_status check_table(const Step &step) {
  const uint8_t type = step.input(0).type;
  const Tensor &table = step.input(1);
  return verdict(check<1>(step) == TOSAIC_OK && is(table, static_cast<tosaic_type>(type), 1) &&
                 table.shape[0] == (type == TOSAIC_INT8 ? 256 : 513));
}

const void *table_argument(const Step &step, Argument *) { return step.input(1).data; }

const void *right_shift_argument(const Step &step, Argument *storage) {
  storage->round = step.attributes()[0];
  return storage;
}

tosaic_status check_mul(const Step &step) {
  const Tensor &shift = step.input(2);
  return verdict(check<2>(step) == TOSAIC_OK && is_type(shift, TOSAIC_INT8) &&
                 elements(shift) == 1);
}

const void *mul_argument(const Step &step, Argument *) { return step.input(2).data; }

tosaic_status check_select(const Step &step) {
  const uint8_t type = step.output(0).type;
  return verdict(is_type(step.input(0), TOSAIC_BOOL) && step.input(1).type == type &&
                 step.input(2).type == type && broadcasts(step, 3));
}

}  // namespace

bool clamp_limits(uint8_t type, const int32_t *values, tosaic_clamp *clamp) {
  *clamp = {values[0], values[1]};
  return (type == TOSAIC_INT8 || type == TOSAIC_INT16) && clamp->min <= clamp->max &&
         clamp->min >= lowest(type) && clamp->max <= highest(type);
}

}  // namespace tosaic

// OPERANDS are those that kernels take as rows; INPUTS counts zero points, tables and shifts too.
#define OPERATOR(NAME, OP, ATTRIBUTE, TYPE, SECOND, RESULT, INPUTS, OPERANDS, CHECK, ARGUMENT) \
  const tosaic_operator tosaic_op_##NAME = {tosa::Op::OP,                                      \
                                            tosa::Attribute::ATTRIBUTE##Attribute,             \
                                            TYPE,                                              \
                                            SECOND,                                            \
                                            INPUTS,                                            \
                                            1,                                                 \
                                            0,                                                 \
                                            tosaic::CHECK,                                     \
                                            tosaic::run,                                       \
                                            nullptr,                                           \
                                            nullptr,                                           \
                                            {tosaic_##NAME},                                   \
                                            RESULT,                                            \
                                            OPERANDS,                                          \
                                            ARGUMENT};
#define ANY tosaic_operator::kAny
#define UNARY(NAME, OP, ATTRIBUTE, TYPE, RESULT) \
  OPERATOR(NAME, OP, ATTRIBUTE, TYPE, ANY, RESULT, 1, 1, check<1>, nullptr)
#define BINARY(NAME, OP, ATTRIBUTE, TYPE, RESULT) \
  OPERATOR(NAME, OP, ATTRIBUTE, TYPE, TYPE, RESULT, 2, 2, check<2>, nullptr)
#define INTEGERS(DEFINE, NAME, OP, ATTRIBUTE)                   \
  DEFINE(NAME##_i8, OP, ATTRIBUTE, TOSAIC_INT8, TOSAIC_INT8)    \
  DEFINE(NAME##_i16, OP, ATTRIBUTE, TOSAIC_INT16, TOSAIC_INT16) \
  DEFINE(NAME##_i32, OP, ATTRIBUTE, TOSAIC_INT32, TOSAIC_INT32)

UNARY(abs_i32, ABS, Abs, TOSAIC_INT32, TOSAIC_INT32)
UNARY(clz_i32, CLZ, Clz, TOSAIC_INT32, TOSAIC_INT32)
UNARY(logical_not, LOGICAL_NOT, LogicalNot, TOSAIC_BOOL, TOSAIC_BOOL)
INTEGERS(UNARY, bitwise_not, BITWISE_NOT, BitwiseNot)

#define NEGATE(NAME, OP, ATTRIBUTE, TYPE, RESULT) \
  OPERATOR(NAME, OP, ATTRIBUTE, TYPE, TYPE, RESULT, 3, 1, check_negate, tosaic::negate_argument)
INTEGERS(NEGATE, negate, NEGATE, Negate)

#define CLAMP(NAME, TYPE) \
  OPERATOR(NAME, CLAMP, Clamp, TYPE, ANY, TYPE, 1, 1, check_clamp, tosaic::clamp_argument)
CLAMP(clamp_i8, TOSAIC_INT8)
CLAMP(clamp_i16, TOSAIC_INT16)

#define TABLE(NAME, TYPE, RESULT) \
  OPERATOR(NAME, TABLE, Table, TYPE, TYPE, RESULT, 2, 1, check_table, tosaic::table_argument)
TABLE(table_i8, TOSAIC_INT8, TOSAIC_INT8)
TABLE(table_i16, TOSAIC_INT16, TOSAIC_INT32)

UNARY(cast_bool_i8, CAST, Cast, TOSAIC_BOOL, TOSAIC_INT8)
UNARY(cast_bool_i16, CAST, Cast, TOSAIC_BOOL, TOSAIC_INT16)
UNARY(cast_bool_i32, CAST, Cast, TOSAIC_BOOL, TOSAIC_INT32)
UNARY(cast_i8_bool, CAST, Cast, TOSAIC_INT8, TOSAIC_BOOL)
UNARY(cast_i16_bool, CAST, Cast, TOSAIC_INT16, TOSAIC_BOOL)
UNARY(cast_i32_bool, CAST, Cast, TOSAIC_INT32, TOSAIC_BOOL)
UNARY(cast_i8_i16, CAST, Cast, TOSAIC_INT8, TOSAIC_INT16)
UNARY(cast_i8_i32, CAST, Cast, TOSAIC_INT8, TOSAIC_INT32)
UNARY(cast_i16_i8, CAST, Cast, TOSAIC_INT16, TOSAIC_INT8)
UNARY(cast_i16_i32, CAST, Cast, TOSAIC_INT16, TOSAIC_INT32)
UNARY(cast_i32_i8, CAST, Cast, TOSAIC_INT32, TOSAIC_INT8)
UNARY(cast_i32_i16, CAST, Cast, TOSAIC_INT32, TOSAIC_INT16)

BINARY(add_i32, ADD, Add, TOSAIC_INT32, TOSAIC_INT32)
BINARY(sub_i32, SUB, Sub, TOSAIC_INT32, TOSAIC_INT32)
BINARY(maximum_i32, MAXIMUM, Maximum, TOSAIC_INT32, TOSAIC_INT32)
BINARY(minimum_i32, MINIMUM, Minimum, TOSAIC_INT32, TOSAIC_INT32)
BINARY(intdiv_i32, INTDIV, IntDiv, TOSAIC_INT32, TOSAIC_INT32)
INTEGERS(BINARY, bitwise_and, BITWISE_AND, BitwiseAnd)
INTEGERS(BINARY, bitwise_or, BITWISE_OR, BitwiseOr)
INTEGERS(BINARY, bitwise_xor, BITWISE_XOR, BitwiseXor)
BINARY(logical_and, LOGICAL_AND, LogicalAnd, TOSAIC_BOOL, TOSAIC_BOOL)
BINARY(logical_or, LOGICAL_OR, LogicalOr, TOSAIC_BOOL, TOSAIC_BOOL)
BINARY(logical_xor, LOGICAL_XOR, LogicalXor, TOSAIC_BOOL, TOSAIC_BOOL)
INTEGERS(BINARY, logical_left_shift, LOGICAL_LEFT_SHIFT, LogicalLeftShift)
INTEGERS(BINARY, logical_right_shift, LOGICAL_RIGHT_SHIFT, LogicalRightShift)
BINARY(equal_i32, EQUAL, Equal, TOSAIC_INT32, TOSAIC_BOOL)
BINARY(greater_i32, GREATER, Greater, TOSAIC_INT32, TOSAIC_BOOL)
BINARY(greater_equal_i32, GREATER_EQUAL, GreaterEqual, TOSAIC_INT32, TOSAIC_BOOL)

#define RIGHT_SHIFT(NAME, OP, ATTRIBUTE, TYPE, RESULT) \
  OPERATOR(NAME, OP, ATTRIBUTE, TYPE, TYPE, RESULT, 2, 2, check<2>, tosaic::right_shift_argument)
INTEGERS(RIGHT_SHIFT, arithmetic_right_shift, ARITHMETIC_RIGHT_SHIFT, ArithmeticRightShift)

#define MUL(NAME, TYPE, RESULT) \
  OPERATOR(NAME, MUL, Mul, TYPE, TYPE, RESULT, 3, 2, check_mul, tosaic::mul_argument)
MUL(mul_i8, TOSAIC_INT8, TOSAIC_INT32)
MUL(mul_i16, TOSAIC_INT16, TOSAIC_INT32)
MUL(mul_i32, TOSAIC_INT32, TOSAIC_INT32)

#define SELECT(NAME, TYPE, KERNEL)                                            \
  const tosaic_operator tosaic_op_##NAME = {tosa::Op::SELECT,                 \
                                            tosa::Attribute::SelectAttribute, \
                                            TOSAIC_BOOL,                      \
                                            TYPE,                             \
                                            3,                                \
                                            1,                                \
                                            0,                                \
                                            tosaic::check_select,             \
                                            tosaic::run,                      \
                                            nullptr,                          \
                                            nullptr,                          \
                                            {KERNEL},                         \
                                            TYPE,                             \
                                            3,                                \
                                            nullptr};
SELECT(select_bool, TOSAIC_BOOL, tosaic_select_8)
SELECT(select_i8, TOSAIC_INT8, tosaic_select_8)
SELECT(select_i16, TOSAIC_INT16, tosaic_select_16)
SELECT(select_i32, TOSAIC_INT32, tosaic_select_32)

#if TOSAIC_FLOAT
namespace tosaic {
namespace {

bool make_clamp(const Step &step, tosaic_clamp_float *clamp) {
  std::memcpy(&clamp->min, &step.attributes()[0], sizeof(clamp->min));
  std::memcpy(&clamp->max, &step.attributes()[1], sizeof(clamp->max));
  clamp->ignore_nan = step.attributes()[2];
  return clamp->min <= clamp->max;  // neither is NaN
}

tosaic_status check_clamp_float(const Step &step) {
  tosaic_clamp_float clamp;
  return verdict(check<1>(step) == TOSAIC_OK && make_clamp(step, &clamp));
}

const void *clamp_float_argument(const Step &step, Argument *storage) {
  make_clamp(step, &storage->clamp_float);
  return storage;
}

const void *nan_mode_argument(const Step &step, Argument *storage) {
  storage->ignore_nan = step.attributes()[0];
  return storage;
}

}  // namespace
}  // namespace tosaic

#define FLOATS(DEFINE, NAME, OP, ATTRIBUTE) \
  DEFINE(NAME##_f32, OP, ATTRIBUTE, TOSAIC_FP32, TOSAIC_FP32)

FLOATS(UNARY, abs, ABS, Abs)
FLOATS(UNARY, ceil, CEIL, Ceil)
FLOATS(UNARY, cos, COS, Cos)
FLOATS(UNARY, erf, ERF, Erf)
FLOATS(UNARY, exp, EXP, Exp)
FLOATS(UNARY, floor, FLOOR, Floor)
FLOATS(UNARY, log, LOG, Log)
FLOATS(UNARY, reciprocal, RECIPROCAL, Reciprocal)
FLOATS(UNARY, rsqrt, RSQRT, Rsqrt)
FLOATS(UNARY, sigmoid, SIGMOID, Sigmoid)
FLOATS(UNARY, sin, SIN, Sin)
FLOATS(UNARY, tanh, TANH, Tanh)
FLOATS(NEGATE, negate, NEGATE, Negate)
OPERATOR(clamp_f32, CLAMP, Clamp, TOSAIC_FP32, ANY, TOSAIC_FP32, 1, 1, check_clamp_float,
         tosaic::clamp_float_argument)

UNARY(cast_i8_f32, CAST, Cast, TOSAIC_INT8, TOSAIC_FP32)
UNARY(cast_i16_f32, CAST, Cast, TOSAIC_INT16, TOSAIC_FP32)
UNARY(cast_i32_f32, CAST, Cast, TOSAIC_INT32, TOSAIC_FP32)
UNARY(cast_f32_i8, CAST, Cast, TOSAIC_FP32, TOSAIC_INT8)
UNARY(cast_f32_i16, CAST, Cast, TOSAIC_FP32, TOSAIC_INT16)
UNARY(cast_f32_i32, CAST, Cast, TOSAIC_FP32, TOSAIC_INT32)

FLOATS(BINARY, add, ADD, Add)
FLOATS(BINARY, pow, POW, Pow)
FLOATS(BINARY, sub, SUB, Sub)
MUL(mul_f32, TOSAIC_FP32, TOSAIC_FP32)
BINARY(equal_f32, EQUAL, Equal, TOSAIC_FP32, TOSAIC_BOOL)
BINARY(greater_f32, GREATER, Greater, TOSAIC_FP32, TOSAIC_BOOL)
BINARY(greater_equal_f32, GREATER_EQUAL, GreaterEqual, TOSAIC_FP32, TOSAIC_BOOL)

#define EXTREMUM(NAME, OP, ATTRIBUTE, TYPE, RESULT) \
  OPERATOR(NAME, OP, ATTRIBUTE, TYPE, TYPE, RESULT, 2, 2, check<2>, tosaic::nan_mode_argument)
FLOATS(EXTREMUM, maximum, MAXIMUM, Maximum)
FLOATS(EXTREMUM, minimum, MINIMUM, Minimum)

SELECT(select_f32, TOSAIC_FP32, tosaic_select_32)
#endif
