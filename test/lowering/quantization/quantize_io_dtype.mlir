// RUN: tosaic-opt %s --split-input-file --tosaic-quantize-io=dtype=uint8 --canonicalize | filecheck %s
// RUN: tosaic-opt %s --split-input-file --tosaic-quantize-io=dtype=int16 --canonicalize | filecheck %s --check-prefix=WIDE

!q = !quant.uniform<i8:f32, 0.5:3>

// uint8 is i8 of the same bits: the zero point moves by 128 (131 is -125 in i8), RESCALE reads it.
// CHECK: func.func @io(%arg0: tensor<4x!quant.uniform<u8:f32, 5.000000e-01:131>>
// CHECK-SAME: tosaic.unsigned
// CHECK-DAG: dense<-125> : tensor<1xi8>
// CHECK-DAG: dense<3> : tensor<1xi8>
// CHECK: tosa.rescale {{.*}} {input_unsigned = true, output_unsigned = false
// CHECK: tosa.rescale {{.*}} {input_unsigned = false, output_unsigned = true

// int16 has no zero point; 128 of its steps are one of int8.
// WIDE: func.func @io(%arg0: tensor<4x!quant.uniform<i16:f32, 3.906250e-03>>
// WIDE: tosa.rescale {{.*}} : (tensor<4xi16>, {{.*}} -> tensor<4xi8>
// WIDE: tosa.rescale {{.*}} : (tensor<4xi8>, {{.*}} -> tensor<4xi16>
func.func @io(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = quant.qcast %x : tensor<4xf32> to tensor<4x!q>
  %1 = tosa.identity %0 : (tensor<4x!q>) -> tensor<4x!q>
  %2 = quant.dcast %1 : tensor<4x!q> to tensor<4xf32>
  return %2 : tensor<4xf32>
}
