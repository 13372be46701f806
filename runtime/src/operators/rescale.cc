// RESCALE on its own, and with a CLAMP behind an accumulator.
#include "operators.h"
#include "tosaic/operators.h"

namespace tosaic {
namespace {

bool is_unsigned_type(uint8_t type) { return type == TOSAIC_INT8 || type == TOSAIC_INT16; }

int32_t without_sign(int32_t value, uint8_t type) {
  return type == TOSAIC_INT8 ? value & 0xff : value & 0xffff;
}

// Fills `rescale` from flags and from operands: the output, and the inputs from number `first` on.
// False where they do not fit each other and input values of `type`.
bool make_rescale(const Step &step, size_t first, uint8_t type, int32_t flags,
                  tosaic_rescale *rescale) {
  const Tensor &multiplier = step.input(first), &shift = step.input(first + 1);
  const Tensor &input_zp = step.input(first + 2), &output_zp = step.input(first + 3);
  const Tensor &y = step.output(0);
  const bool wide = type == TOSAIC_INT48;
  const bool scale32 = flags & kScale32;
  const bool double_round = flags & kDoubleRound;
  const bool types = (is_unsigned_type(type) || type == TOSAIC_INT32 || wide) &&
                     (is_unsigned_type(y.type) || y.type == TOSAIC_INT32) &&
                     (!(flags & kInputUnsigned) || is_unsigned_type(type)) &&
                     (!(flags & kOutputUnsigned) || is_unsigned_type(y.type)) &&
                     !(wide && scale32) && !(double_round && !scale32) && input_zp.type == type &&
                     output_zp.type == y.type;
  const int32_t count = (flags & kPerChannel) && y.rank ? y.shape[y.rank - 1] : 1;
  const bool vectors = is(multiplier, scale32 ? TOSAIC_INT32 : TOSAIC_INT16, 1) &&
                       is(shift, TOSAIC_INT8, 1) && multiplier.shape[0] == count &&
                       shift.shape[0] == count;
  if (!types || !vectors || !constant_scalar(input_zp, &rescale->input_zp) ||
      !constant_scalar(output_zp, &rescale->output_zp)) {
    return false;
  }
  rescale->multiplier32 = scale32 ? static_cast<const int32_t *>(multiplier.data) : nullptr;
  rescale->multiplier16 = scale32 ? nullptr : static_cast<const int16_t *>(multiplier.data);
  rescale->shift = static_cast<const int8_t *>(shift.data);
  rescale->per_channel = flags & kPerChannel;
  rescale->double_round = double_round;
  rescale->output_type = static_cast<tosaic_type>(y.type);
  rescale->min = lowest(y.type);
  rescale->max = highest(y.type);
  if (flags & kInputUnsigned) {
    rescale->input_zp = without_sign(rescale->input_zp, type);
  }
  if (flags & kOutputUnsigned) {
    rescale->output_zp = without_sign(rescale->output_zp, y.type);
    rescale->min = 0;
    rescale->max = without_sign(-1, y.type);
  }
  return true;
}

bool make_rescale(const Step &step, tosaic_rescale *rescale) {
  const Tensor &x = step.input(0);
  return same_shape(x, step.output(0)) &&
         make_rescale(step, 1, x.type, step.attributes()[0], rescale);
}

tosaic_status check_rescale(const Step &step) {
  tosaic_rescale rescale;
  return verdict(make_rescale(step, &rescale));
}

// RESCALE of rows: all channels of `count` rows, or part of one row where channels do not matter.
void rescale_rows(const Argument::Rescale &argument, size_t rows, size_t channels,
                  const void *input, void *output) {
  const tosaic_rescale *rescale = &argument.rescale;
  switch (argument.type) {
    case TOSAIC_INT8:
      if (argument.input_unsigned) {
        tosaic_rescale_u8(rescale, rows, channels, static_cast<const uint8_t *>(input), output);
      } else {
        tosaic_rescale_i8(rescale, rows, channels, static_cast<const int8_t *>(input), output);
      }
      break;
    case TOSAIC_INT16:
      if (argument.input_unsigned) {
        tosaic_rescale_u16(rescale, rows, channels, static_cast<const uint16_t *>(input), output);
      } else {
        tosaic_rescale_i16(rescale, rows, channels, static_cast<const int16_t *>(input), output);
      }
      break;
    case TOSAIC_INT32:
      tosaic_rescale_i32(rescale, rows, channels, static_cast<const int32_t *>(input), output);
      break;
    default:
      tosaic_rescale_i48(rescale, rows, channels, static_cast<const uint8_t *>(input), output);
  }
}

bool make_argument(const Step &step, Argument::Rescale *argument) {
  argument->type = step.input(0).type;
  argument->input_unsigned = step.attributes()[0] & kInputUnsigned;
  return make_rescale(step, &argument->rescale);
}

const void *rescale_argument(const Step &step, Argument *storage) {
  make_argument(step, &storage->rescale);
  return storage;
}

void rescale_row(size_t n, const void *const inputs[], const size_t *, void *output,
                 const void *argument) {
  rescale_rows(static_cast<const Argument *>(argument)->rescale, 1, n, inputs[0], output);
}

tosaic_status run_rescale(const Step &step) {
  const Tensor &x = step.input(0);
  Argument::Rescale argument;
  if (!make_argument(step, &argument)) return TOSAIC_BAD_MODEL;
  const size_t channels = x.rank ? static_cast<size_t>(x.shape[x.rank - 1]) : 1;
  rescale_rows(argument, elements(x) / channels, channels, x.data, step.output(0).data);
  return TOSAIC_OK;
}

}  // namespace

bool merged_rescale(const Step &step, uint8_t type, tosaic_rescale *storage,
                    const tosaic_rescale **rescale) {
  const Node &node = *step.node;
  *rescale = node.merged ? storage : nullptr;
  if (!node.merged) return true;
  const size_t first = size_t{node.inputs} - kRescaleInputs;
  const int32_t *attributes = step.attributes() + step.op().attribute.words;
  if (!make_rescale(step, first, type, attributes[0], storage)) return false;
  if (node.merged == 1) return true;
  tosaic_clamp clamp;
  if (!clamp_limits(step.output(0).type, attributes + 1, &clamp)) return false;
  storage->min = clamp.min > storage->min ? clamp.min : storage->min;
  storage->max = clamp.max < storage->max ? clamp.max : storage->max;
  return true;
}

}  // namespace tosaic

const tosaic_operator tosaic_op_rescale = {tosa::Op::RESCALE,
                                           tosa::Attribute::RescaleAttribute,
                                           tosaic_operator::kAny,
                                           tosaic_operator::kAny,
                                           5,
                                           1,
                                           kChecksWhenRun,
                                           tosaic::check_rescale,
                                           tosaic::run_rescale,
                                           nullptr,
                                           nullptr,
                                           {tosaic::rescale_row},
                                           0,
                                           1,
                                           tosaic::rescale_argument};
