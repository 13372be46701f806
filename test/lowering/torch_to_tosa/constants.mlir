// RUN: tosaic-opt %s --tosaic-torch-to-tosa | filecheck %s

// PyTorch's si64 is signless, its uint8 keeps its bits.
// CHECK: values = dense<[1, -2]> : tensor<2xi64>
// CHECK: values = dense<-1> : tensor<2xi8>
func.func @literals() -> (!torch.vtensor<[2],si64>, !torch.vtensor<[2],ui8>) {
  %0 = torch.vtensor.literal(dense<[1, -2]> : tensor<2xsi64>) : !torch.vtensor<[2],si64>
  %1 = torch.vtensor.literal(dense<255> : tensor<2xui8>) : !torch.vtensor<[2],ui8>
  return %0, %1 : !torch.vtensor<[2],si64>, !torch.vtensor<[2],ui8>
}
