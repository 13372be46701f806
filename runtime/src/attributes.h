// Attributes as operators read them: a few words each, whether a flatbuffer or a plan told them.
//
//   AVG_POOL2D, MAX_POOL2D        kernel y x, stride y x, pad top bottom left right; of MAX_POOL2D
//                                 also NaN
//   CONV2D, DEPTHWISE_CONV2D      pad top bottom left right, stride y x, dilation y x
//   CONV3D                        likewise, with front and back, and z, ahead
//   TRANSPOSE_CONV2D              out_pad top bottom left right, stride y x
//   ARGMAX, REDUCE_MAX, REDUCE_MIN      axis, NaN
//   CONCAT, other REDUCE_*, REVERSE     axis
//   MAXIMUM, MINIMUM              NaN
//   ARITHMETIC_RIGHT_SHIFT        round
//   FFT2D                         inverse
//   CLAMP                         min and max (bits of float32), NaN
//   RESCALE                       flags, of those below
//   RESIZE                        mode
//   TRANSPOSE                     perms, -1 behind the last
//   COND_IF, WHILE_LOOP           the two graphs, by their numbers
//   CUSTOM                        offset in the model and size of operator_name, domain_name and
//                                 implementation_attrs
// NaN is 1 where one among the operands is ignored, and 0 where it is the result.
#ifndef TOSAIC_RUNTIME_ATTRIBUTES_H
#define TOSAIC_RUNTIME_ATTRIBUTES_H

#include "tosa_generated.h"
#include "tosaic/runtime.h"

namespace tosaic {

constexpr uint8_t attribute_words(tosa::Attribute type) {
  switch (type) {
    case tosa::Attribute::ArithmeticRightShiftAttribute:
    case tosa::Attribute::ConcatAttribute:
    case tosa::Attribute::FFT2dAttribute:
    case tosa::Attribute::MaximumAttribute:
    case tosa::Attribute::MinimumAttribute:
    case tosa::Attribute::ReduceAllAttribute:
    case tosa::Attribute::ReduceAnyAttribute:
    case tosa::Attribute::ReduceProductAttribute:
    case tosa::Attribute::ReduceSumAttribute:
    case tosa::Attribute::RescaleAttribute:
    case tosa::Attribute::ResizeAttribute:
    case tosa::Attribute::ReverseAttribute:
      return 1;
    case tosa::Attribute::ArgMaxAttribute:
    case tosa::Attribute::CondIfAttribute:
    case tosa::Attribute::ReduceMaxAttribute:
    case tosa::Attribute::ReduceMinAttribute:
    case tosa::Attribute::WhileLoopAttribute:
      return 2;
    case tosa::Attribute::ClampAttribute:
      return 3;
    case tosa::Attribute::CustomAttribute:
    case tosa::Attribute::TransposeAttribute:
    case tosa::Attribute::TransposeConv2dAttribute:
      return 6;
    case tosa::Attribute::AvgPool2dAttribute:
    case tosa::Attribute::Conv2dAttribute:
    case tosa::Attribute::DepthwiseConv2dAttribute:
      return 8;
    case tosa::Attribute::MaxPool2dAttribute:
      return 9;
    case tosa::Attribute::Conv3dAttribute:
      return 12;
    default:
      return 0;
  }
}

// A type of attribute and how many words it has.
struct AttributeType {
  tosa::Attribute type;
  uint8_t words;
  constexpr AttributeType(tosa::Attribute of) : type(of), words(attribute_words(of)) {}
};

// Of RESCALE.
constexpr int32_t kScale32 = 1;
constexpr int32_t kDoubleRound = 2;
constexpr int32_t kPerChannel = 4;
constexpr int32_t kInputUnsigned = 8;
constexpr int32_t kOutputUnsigned = 16;

// Writes the words of `op`'s attribute, but for those of COND_IF and WHILE_LOOP, whose graphs only
// the reader knows; `type` is that of the first input, `model` where the flatbuffer begins. False
// for one of wrong size.
bool write_attributes(const tosa::TosaOperator &op, uint8_t type, const void *model,
                      int32_t *words);

}  // namespace tosaic

#endif
