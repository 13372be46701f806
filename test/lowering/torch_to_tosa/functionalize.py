# In Python because MLIR's verifier, which runs when text is parsed, wants tensors with memory for
# in-place ops; the importer makes them on value tensors. `in_place` marks what gets an underscore.
# RUN: %python %s | filecheck %s

from tosaic.dialects.bindings import ir, make_context
from tosaic.errors import CompileError
from tosaic.lowering.pipeline import Pipeline

T = "!torch.vtensor<[4],f32>"
V = "!torch.vtensor<[1,4],f32>"


def run(text: str) -> None:
    context = make_context()
    with context, ir.Location.unknown():
        module = ir.Module.parse(text)
        for op in list(module.body.operations[0].regions[0].blocks[0].operations):
            if "in_place" in op.attributes:
                new = ir.Operation.create(
                    op.operation.name + "_",
                    results=[r.type for r in op.results],
                    operands=list(op.operands),
                    loc=op.location,
                    ip=ir.InsertionPoint(op),
                )
                op.results[0].replace_all_uses_with(new.results[0])
                op.operation.erase()
        try:
            Pipeline.parse("tosaic-functionalize").run(module)
            print(module)
        except CompileError as error:
            print(error)


# Readers after the write see the result, readers before it the old value.
# CHECK: func.func @renamed
# CHECK: %[[X:.*]] = torch.aten.neg %arg0
# CHECK: %[[BEFORE:.*]] = torch.aten.abs %[[X]]
# CHECK: %[[Y:.*]] = torch.aten.relu %[[X]]
# CHECK: %[[AFTER:.*]] = torch.aten.abs %[[Y]]
# CHECK: return %[[BEFORE]], %[[Y]], %[[AFTER]]
run(f"""
func.func @renamed(%x: {T}) -> ({T}, {T}, {T}) {{
  %0 = torch.aten.neg %x : {T} -> {T}
  %1 = torch.aten.abs %0 : {T} -> {T}
  %2 = torch.aten.relu %0 {{in_place}} : {T} -> {T}
  %3 = torch.aten.abs %0 : {T} -> {T}
  return %1, %0, %3 : {T}, {T}, {T}
}}""")

# Writing to a view writes to what it is a view of.
# CHECK: cannot be renamed away
# CHECK-NEXT: 'on_view': torch.aten.relu_ writes to a tensor that shares memory with another
run(f"""
func.func @view(%x: {T}) -> ({T}, {V}) {{
  %int0 = torch.constant.int 0
  %0 = torch.aten.neg %x : {T} -> {T}
  %1 = torch.aten.unsqueeze %0, %int0 : {T}, !torch.int -> {V}
  %2 = torch.aten.relu %1 {{in_place}} : {V} -> {V} loc("on_view")
  return %0, %2 : {T}, {V}
}}""")

# So does writing to a tensor that has views; an argument's memory is the caller's.
# CHECK: 'viewed': torch.aten.relu_ writes to a tensor that shares memory with another
# CHECK-NEXT: 'argument': torch.aten.relu_ writes to a tensor that shares memory with another
run(f"""
func.func @viewed(%x: {T}) -> {V} {{
  %int0 = torch.constant.int 0
  %0 = torch.aten.neg %x : {T} -> {T}
  %1 = torch.aten.unsqueeze %0, %int0 : {T}, !torch.int -> {V}
  %2 = torch.aten.relu %0 {{in_place}} : {T} -> {T} loc("viewed")
  %3 = torch.aten.relu %x {{in_place}} : {T} -> {T} loc("argument")
  return %1 : {V}
}}""")

# A write to a view that nobody else reads afterwards is renamed like any other.
# CHECK: func.func @lonely_view
# CHECK: %[[V:.*]] = torch.aten.unsqueeze
# CHECK: %[[Y:.*]] = torch.aten.relu %[[V]]
# CHECK: return %[[Y]]
run(f"""
func.func @lonely_view(%x: {T}) -> {V} {{
  %int0 = torch.constant.int 0
  %0 = torch.aten.neg %x : {T} -> {T}
  %1 = torch.aten.unsqueeze %0, %int0 : {T}, !torch.int -> {V}
  %2 = torch.aten.relu %1 {{in_place}} : {V} -> {V}
  return %2 : {V}
}}""")

# Ops that the dialect does not have are found by their names; pow_ has other overloads than pow.
# CHECK: func.func @without_definition
# CHECK: torch.operator "torch.aten.erfc"
# CHECK: torch.aten.pow.Tensor_Tensor
run(f"""
func.func @without_definition(%x: {T}) -> {T} {{
  %0 = torch.aten.neg %x : {T} -> {T}
  %1 = torch.operator "torch.aten.erfc_"(%0) : ({T}) -> {T}
  %2 = torch.operator "torch.aten.pow_.Tensor"(%1, %x) : ({T}, {T}) -> {T}
  return %2 : {T}
}}""")
