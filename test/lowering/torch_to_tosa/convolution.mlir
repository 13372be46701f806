// RUN: tosaic-opt %s --split-input-file --tosaic-torch-to-tosa --canonicalize | filecheck %s

// NHWC with a transpose on each side. Stride 2 over 5+2 rows leaves none over: both paddings stay.
// CHECK: func.func @conv2d
// CHECK: tosa.transpose %{{.*}} {perms = array<i32: 0, 2, 3, 1>} : (tensor<1x3x5x6xf32>) -> tensor<1x5x6x3xf32>
// CHECK: tosa.conv2d {{.*}} {acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 1, 1, 1, 0>, stride = array<i64: 2, 2>}
// CHECK-SAME: -> tensor<1x3x3x8xf32>
// CHECK: tosa.transpose %{{.*}} {perms = array<i32: 0, 3, 1, 2>} : (tensor<1x3x3x8xf32>) -> tensor<1x8x3x3xf32>
func.func @conv2d(%x: !torch.vtensor<[1,3,5,6],f32>, %w: !torch.vtensor<[8,3,3,3],f32>, %b: !torch.vtensor<[8],f32>) -> !torch.vtensor<[1,8,3,3],f32> {
  %int1 = torch.constant.int 1
  %int2 = torch.constant.int 2
  %stride = torch.prim.ListConstruct %int2, %int2 : (!torch.int, !torch.int) -> !torch.list<int>
  %one = torch.prim.ListConstruct %int1, %int1 : (!torch.int, !torch.int) -> !torch.list<int>
  %0 = torch.aten.conv2d %x, %w, %b, %stride, %one, %one, %int1 : !torch.vtensor<[1,3,5,6],f32>, !torch.vtensor<[8,3,3,3],f32>, !torch.vtensor<[8],f32>, !torch.list<int>, !torch.list<int>, !torch.list<int>, !torch.int -> !torch.vtensor<[1,8,3,3],f32>
  return %0 : !torch.vtensor<[1,8,3,3],f32>
}

// -----

// As many groups as channels: depthwise, with two outputs per channel and a bias of zeros.
// CHECK: func.func @depthwise
// CHECK: "tosa.const"() <{values = dense<0.000000e+00> : tensor<8xf32>}>
// CHECK: tosa.reshape {{.*}} -> tensor<3x3x4x2xf32>
// CHECK: tosa.depthwise_conv2d {{.*}} -> tensor<1x3x3x8xf32>
// CHECK-NOT: tosa.conv2d
func.func @depthwise(%x: !torch.vtensor<[1,4,5,5],f32>, %w: !torch.vtensor<[8,1,3,3],f32>) -> !torch.vtensor<[1,8,3,3],f32> {
  %none = torch.constant.none
  %int0 = torch.constant.int 0
  %int1 = torch.constant.int 1
  %int4 = torch.constant.int 4
  %one = torch.prim.ListConstruct %int1, %int1 : (!torch.int, !torch.int) -> !torch.list<int>
  %zero = torch.prim.ListConstruct %int0, %int0 : (!torch.int, !torch.int) -> !torch.list<int>
  %0 = torch.aten.conv2d %x, %w, %none, %one, %zero, %one, %int4 : !torch.vtensor<[1,4,5,5],f32>, !torch.vtensor<[8,1,3,3],f32>, !torch.none, !torch.list<int>, !torch.list<int>, !torch.list<int>, !torch.int -> !torch.vtensor<[1,8,3,3],f32>
  return %0 : !torch.vtensor<[1,8,3,3],f32>
}

// -----

// Other groups: one convolution each.
// CHECK: func.func @grouped
// CHECK-COUNT-2: tosa.conv2d {{.*}} -> tensor<1x3x3x3xf32>
// CHECK: tosa.concat {{.*}} {axis = 3 : i32}
func.func @grouped(%x: !torch.vtensor<[1,4,5,5],f32>, %w: !torch.vtensor<[6,2,3,3],f32>, %b: !torch.vtensor<[6],f32>) -> !torch.vtensor<[1,6,3,3],f32> {
  %int0 = torch.constant.int 0
  %int1 = torch.constant.int 1
  %int2 = torch.constant.int 2
  %one = torch.prim.ListConstruct %int1, %int1 : (!torch.int, !torch.int) -> !torch.list<int>
  %zero = torch.prim.ListConstruct %int0, %int0 : (!torch.int, !torch.int) -> !torch.list<int>
  %0 = torch.aten.conv2d %x, %w, %b, %one, %zero, %one, %int2 : !torch.vtensor<[1,4,5,5],f32>, !torch.vtensor<[6,2,3,3],f32>, !torch.vtensor<[6],f32>, !torch.list<int>, !torch.list<int>, !torch.list<int>, !torch.int -> !torch.vtensor<[1,6,3,3],f32>
  return %0 : !torch.vtensor<[1,6,3,3],f32>
}

// -----

// One dimension: H is 1.
// CHECK: func.func @conv1d
// CHECK: tosa.conv2d {{.*}} pad = array<i64: 0, 0, 1, 1>
// CHECK-SAME: tensor<1x1x16x3xf32>, tensor<8x1x3x3xf32>
// CHECK: return %{{.*}} : !torch.vtensor<[1,8,16],f32>
func.func @conv1d(%x: !torch.vtensor<[1,3,16],f32>, %w: !torch.vtensor<[8,3,3],f32>, %b: !torch.vtensor<[8],f32>) -> !torch.vtensor<[1,8,16],f32> {
  %int1 = torch.constant.int 1
  %one = torch.prim.ListConstruct %int1 : (!torch.int) -> !torch.list<int>
  %0 = torch.aten.conv1d %x, %w, %b, %one, %one, %one, %int1 : !torch.vtensor<[1,3,16],f32>, !torch.vtensor<[8,3,3],f32>, !torch.vtensor<[8],f32>, !torch.list<int>, !torch.list<int>, !torch.list<int>, !torch.int -> !torch.vtensor<[1,8,16],f32>
  return %0 : !torch.vtensor<[1,8,16],f32>
}

// -----

// Transposed: padding is negative out_pad, output padding adds at the end.
// CHECK: func.func @transposed
// CHECK: tosa.transpose_conv2d {{.*}} {acc_type = f32, out_pad = array<i64: -1, 0, -1, 0>, stride = array<i64: 2, 2>}
// CHECK-SAME: -> tensor<1x8x8x6xf32>
func.func @transposed(%x: !torch.vtensor<[1,3,4,4],f32>, %w: !torch.vtensor<[3,6,3,3],f32>, %b: !torch.vtensor<[6],f32>) -> !torch.vtensor<[1,6,8,8],f32> {
  %int1 = torch.constant.int 1
  %int2 = torch.constant.int 2
  %one = torch.prim.ListConstruct %int1, %int1 : (!torch.int, !torch.int) -> !torch.list<int>
  %two = torch.prim.ListConstruct %int2, %int2 : (!torch.int, !torch.int) -> !torch.list<int>
  %0 = torch.aten.conv_transpose2d.input %x, %w, %b, %two, %one, %one, %int1, %one : !torch.vtensor<[1,3,4,4],f32>, !torch.vtensor<[3,6,3,3],f32>, !torch.vtensor<[6],f32>, !torch.list<int>, !torch.list<int>, !torch.list<int>, !torch.int, !torch.list<int> -> !torch.vtensor<[1,6,8,8],f32>
  return %0 : !torch.vtensor<[1,6,8,8],f32>
}

// -----

// A dynamic size is fine where windows move by one.
// CHECK: func.func @dynamic
// CHECK: tosa.conv2d {{.*}} -> tensor<?x?x6x8xf32>
func.func @dynamic(%x: !torch.vtensor<[?,3,?,6],f32>, %w: !torch.vtensor<[8,3,3,3],f32>, %b: !torch.vtensor<[8],f32>) -> !torch.vtensor<[?,8,?,6],f32> {
  %int1 = torch.constant.int 1
  %one = torch.prim.ListConstruct %int1, %int1 : (!torch.int, !torch.int) -> !torch.list<int>
  %0 = torch.aten.conv2d %x, %w, %b, %one, %one, %one, %int1 : !torch.vtensor<[?,3,?,6],f32>, !torch.vtensor<[8,3,3,3],f32>, !torch.vtensor<[8],f32>, !torch.list<int>, !torch.list<int>, !torch.list<int>, !torch.int -> !torch.vtensor<[?,8,?,6],f32>
  return %0 : !torch.vtensor<[?,8,?,6],f32>
}
