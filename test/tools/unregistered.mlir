// RUN: tosaic-opt %s --allow-unregistered-dialect | filecheck %s
// RUN: not tosaic-opt %s 2>&1 | filecheck %s --check-prefix=REFUSED
// CHECK: "their.op"() : () -> ()
// REFUSED: error: operation being parsed with an unregistered dialect
"their.op"() : () -> ()
