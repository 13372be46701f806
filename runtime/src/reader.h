// Reads a flatbuffer into the tables of a model.
#ifndef TOSAIC_RUNTIME_READER_H
#define TOSAIC_RUNTIME_READER_H

#include "arena.h"
#include "model.h"

namespace tosaic {

// Nothing in the flatbuffer is believed: after its verifier every name must resolve, every value be
// written once and before it is read, and every size fit its data.
class Reader {
 public:
  Reader(const tosaic_config &config, Arena *arena) : config_(config), arena_(*arena) {}

  // Makes the model with its tables, but for memory of tensors that are not constants.
  tosaic_status read(tosaic_model **model);

  // Bytes that reading or planning a graph of so many tensors borrows.
  static size_t workspace(size_t tensor_count);

 private:
  const tosa::TosaBasicBlock &block(size_t number) const;
  tosaic_status verify();
  tosaic_status allocate();
  tosaic_status read_graph(size_t number);
  bool resolve_names(size_t number, uint16_t *table, size_t slots) const;
  bool resolve_callees(size_t number, const tosa::TosaOperator &op, int32_t *callees) const;
  tosaic_status read_tensor(const tosa::TosaTensor &source, Tensor *tensor);
  tosaic_status read_shape(const tosa::TosaShape &source, Tensor *tensor) const;
  tosaic_status read_variable(const tosa::TosaTensor &source, Tensor *tensor);
  tosaic_status read_node(size_t number, const tosa::TosaOperator &source, uint8_t *has_value,
                          Node *node);
  bool is_variable(size_t number, uint16_t index) const;
  bool find_operator(const Graph &graph, const tosa::TosaOperator &source, Node *node) const;

  const tosaic_config &config_;
  Arena &arena_;
  const flatbuffers::Vector<flatbuffers::Offset<tosa::TosaRegion>> *regions_ = nullptr;
  const tosa::TosaTensor **variable_sources_ = nullptr;
  tosaic_model *model_ = nullptr;
};

}  // namespace tosaic

#endif
