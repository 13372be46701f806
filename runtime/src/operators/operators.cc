#include "operators.h"

#include <cstring>

namespace tosaic {

bool same_shape(const Tensor &a, const Tensor &b) {
  if (a.rank != b.rank) return false;
  for (int k = 0; k < a.rank; k++) {
    if (a.shape[k] != b.shape[k]) return false;
  }
  return true;
}

bool same(const Tensor &a, const Tensor &b) { return a.type == b.type && same_shape(a, b); }

bool constant_scalar(const Tensor &tensor, int32_t *value) {
  if (!tensor.constant || tensor.rank > 1 || elements(tensor) != 1) return false;
  switch (tensor.type) {
    case TOSAIC_INT4:
      *value = ((*static_cast<const uint8_t *>(tensor.data) & 15) ^ 8) - 8;
      return true;
    case TOSAIC_INT8:
      *value = *static_cast<const int8_t *>(tensor.data);
      return true;
    case TOSAIC_INT16:
      *value = *static_cast<const int16_t *>(tensor.data);
      return true;
    case TOSAIC_INT32:
      *value = *static_cast<const int32_t *>(tensor.data);
      return true;
    case TOSAIC_INT48:
    case TOSAIC_FP32: {  // of zero points, which are 0
      const auto *bytes = static_cast<const uint8_t *>(tensor.data);
      *value = 0;
      for (uint32_t k = 0; k < tensor.bytes; k++) {
        if (bytes[k]) return false;
      }
      return true;
    }
    default:
      return false;
  }
}

bool constant_shape(const Tensor &tensor, size_t count, int32_t *values) {
  if (tensor.type != TOSAIC_SHAPE || !tensor.constant || tensor.bytes != count * 8) return false;
  for (size_t k = 0; k < count; k++) {
    // The flatbuffer aligns the data of a constant to 4 bytes only.
    int64_t value = 0;
    std::memcpy(&value, static_cast<const char *>(tensor.data) + 8 * k, sizeof(value));
    if (value < INT32_MIN || value > INT32_MAX) return false;
    values[k] = static_cast<int32_t>(value);
  }
  return true;
}

bool in_range(const int32_t *values, size_t count, int32_t low, int32_t high) {
  for (size_t k = 0; k < count; k++) {
    if (values[k] < low || values[k] > high) return false;
  }
  return true;
}

int32_t lowest(uint8_t type) {
  return type == TOSAIC_INT8 ? INT8_MIN : type == TOSAIC_INT16 ? INT16_MIN : INT32_MIN;
}

int32_t highest(uint8_t type) {
  return type == TOSAIC_INT8 ? INT8_MAX : type == TOSAIC_INT16 ? INT16_MAX : INT32_MAX;
}

}  // namespace tosaic
