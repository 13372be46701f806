// Attributes of a flatbuffer as words.
#include "attributes.h"

#include "operators/operators.h"

namespace tosaic {
namespace {

using Vector = flatbuffers::Vector<int32_t>;

class Writer {
 public:
  explicit Writer(int32_t *words) : next_(words) {}

  void put(int32_t word) { *next_++ = word; }

  void put(const Vector *values, size_t count) {
    fits_ = fits_ && values && values->size() == count;
    for (size_t k = 0; fits_ && k < count; k++) put(values->Get(index(k)));
  }

  // A number of `size` bytes, sign-extended.
  void put_number(const flatbuffers::Vector<uint8_t> *bytes, size_t size) {
    fits_ = fits_ && bytes && size && bytes->size() >= size;
    if (!fits_) return;
    uint32_t value = bytes->Get(index(size - 1)) & 0x80 ? UINT32_MAX : 0;
    for (size_t k = size; k > 0; k--) value = value << 8 | bytes->Get(index(k - 1));
    put(static_cast<int32_t>(value));
  }

  void put_place(const void *model, const uint8_t *data, size_t size) {
    put(static_cast<int32_t>(data - static_cast<const uint8_t *>(model)));
    put(static_cast<int32_t>(size));
  }

  bool fits() const { return fits_; }

 private:
  static flatbuffers::uoffset_t index(size_t k) { return static_cast<flatbuffers::uoffset_t>(k); }

  int32_t *next_;
  bool fits_ = true;
};

template <class Attribute>
void put_pool(const void *source, Writer *out) {
  const auto *attribute = static_cast<const Attribute *>(source);
  out->put(attribute->kernel(), 2);
  out->put(attribute->stride(), 2);
  out->put(attribute->pad(), 4);
}

template <class Attribute>
void put_conv(const void *source, size_t dims, Writer *out) {
  const auto *attribute = static_cast<const Attribute *>(source);
  out->put(attribute->pad(), 2 * dims);
  out->put(attribute->stride(), dims);
  out->put(attribute->dilation(), dims);
}

template <class Attribute>
int32_t axis_of(const void *source) {
  return static_cast<const Attribute *>(source)->axis();
}

template <class Attribute>
void put_nan_mode(const void *source, Writer *out) {
  out->put(static_cast<const Attribute *>(source)->nan_mode() == tosa::NanPropagationMode::IGNORE);
}

int32_t flags_of(const tosa::RescaleAttribute &rescale) {
  return (rescale.scale32() ? kScale32 : 0) |
         (rescale.rounding_mode() == tosa::RoundingMode::DOUBLE_ROUND ? kDoubleRound : 0) |
         (rescale.per_channel() ? kPerChannel : 0) |
         (rescale.input_unsigned() ? kInputUnsigned : 0) |
         (rescale.output_unsigned() ? kOutputUnsigned : 0);
}

void put_custom(const tosa::CustomAttribute &custom, const void *model, Writer *out) {
  for (const auto *name : {custom.operator_name(), custom.domain_name()}) {
    // Without a name the size is one that check_custom refuses.
    if (name) {
      out->put_place(model, name->Data(), name->size());
    } else {
      out->put(0);
      out->put(-1);
    }
  }
  const auto *bytes = custom.implementation_attrs();
  if (bytes) {
    out->put_place(model, bytes->data(), bytes->size());
  } else {
    out->put(0);
    out->put(0);
  }
}

}  // namespace

bool write_attributes(const tosa::TosaOperator &op, uint8_t type, const void *model,
                      int32_t *words) {
  const void *source = op.attribute();
  Writer out(words);
  switch (op.attribute_type()) {
    case tosa::Attribute::ArgMaxAttribute:
      out.put(axis_of<tosa::ArgMaxAttribute>(source));
      put_nan_mode<tosa::ArgMaxAttribute>(source, &out);
      break;
    case tosa::Attribute::ConcatAttribute:
      out.put(axis_of<tosa::ConcatAttribute>(source));
      break;
    case tosa::Attribute::ReduceAllAttribute:
      out.put(axis_of<tosa::ReduceAllAttribute>(source));
      break;
    case tosa::Attribute::ReduceAnyAttribute:
      out.put(axis_of<tosa::ReduceAnyAttribute>(source));
      break;
    case tosa::Attribute::ReduceMaxAttribute:
      out.put(axis_of<tosa::ReduceMaxAttribute>(source));
      put_nan_mode<tosa::ReduceMaxAttribute>(source, &out);
      break;
    case tosa::Attribute::ReduceMinAttribute:
      out.put(axis_of<tosa::ReduceMinAttribute>(source));
      put_nan_mode<tosa::ReduceMinAttribute>(source, &out);
      break;
    case tosa::Attribute::ReduceProductAttribute:
      out.put(axis_of<tosa::ReduceProductAttribute>(source));
      break;
    case tosa::Attribute::ReduceSumAttribute:
      out.put(axis_of<tosa::ReduceSumAttribute>(source));
      break;
    case tosa::Attribute::ReverseAttribute:
      out.put(axis_of<tosa::ReverseAttribute>(source));
      break;
    case tosa::Attribute::ArithmeticRightShiftAttribute:
      out.put(op.attribute_as_ArithmeticRightShiftAttribute()->round());
      break;
    case tosa::Attribute::FFT2dAttribute:
      out.put(op.attribute_as_FFT2dAttribute()->inverse());
      break;
    case tosa::Attribute::RescaleAttribute:
      out.put(flags_of(*op.attribute_as_RescaleAttribute()));
      break;
    case tosa::Attribute::ResizeAttribute:
      out.put(static_cast<int32_t>(op.attribute_as_ResizeAttribute()->mode()));
      break;
    case tosa::Attribute::ClampAttribute:
      out.put_number(op.attribute_as_ClampAttribute()->min_val(), element_size(type));
      out.put_number(op.attribute_as_ClampAttribute()->max_val(), element_size(type));
      put_nan_mode<tosa::ClampAttribute>(source, &out);
      break;
    case tosa::Attribute::MaximumAttribute:
      put_nan_mode<tosa::MaximumAttribute>(source, &out);
      break;
    case tosa::Attribute::MinimumAttribute:
      put_nan_mode<tosa::MinimumAttribute>(source, &out);
      break;
    case tosa::Attribute::TransposeAttribute: {
      const Vector *perms = op.attribute_as_TransposeAttribute()->perms();
      const size_t rank = perms ? perms->size() : 0;
      if (rank > TOSAIC_MAX_RANK) return false;
      if (rank) out.put(perms, rank);
      for (size_t k = rank; k < TOSAIC_MAX_RANK; k++) out.put(-1);
      break;
    }
    case tosa::Attribute::TransposeConv2dAttribute:
      out.put(op.attribute_as_TransposeConv2dAttribute()->out_pad(), 4);
      out.put(op.attribute_as_TransposeConv2dAttribute()->stride(), 2);
      break;
    case tosa::Attribute::AvgPool2dAttribute:
      put_pool<tosa::AvgPool2dAttribute>(source, &out);
      break;
    case tosa::Attribute::MaxPool2dAttribute:
      put_pool<tosa::MaxPool2dAttribute>(source, &out);
      put_nan_mode<tosa::MaxPool2dAttribute>(source, &out);
      break;
    case tosa::Attribute::Conv2dAttribute:
      put_conv<tosa::Conv2dAttribute>(source, 2, &out);
      break;
    case tosa::Attribute::DepthwiseConv2dAttribute:
      put_conv<tosa::DepthwiseConv2dAttribute>(source, 2, &out);
      break;
    case tosa::Attribute::Conv3dAttribute:
      put_conv<tosa::Conv3dAttribute>(source, 3, &out);
      break;
    case tosa::Attribute::CustomAttribute:
      put_custom(*op.attribute_as_CustomAttribute(), model, &out);
      break;
    default:
      break;
  }
  return out.fits();
}

}  // namespace tosaic
