// RUN: primus-opt %s --graph-interpret | FileCheck %s --check-prefixes=CHECK,EXACT
// RUN: primus-opt %s --graph-interpret=mode=faithful | FileCheck %s --check-prefixes=CHECK,FAITHFUL
// RUN: primus-opt %s --graph-interpret="function=inputs seed=1 integer-bound=2" | primus-opt | FileCheck %s --check-prefix=MODULE
// RUN: primus-opt %s --graph-interpret="function=inputs seed=1 integer-bound=1" | FileCheck %s --check-prefix=INPUTS
// RUN: not primus-opt %s --graph-interpret=function=missing 2>&1 | FileCheck %s --check-prefix=MISSING
// RUN: not primus-opt %s --graph-interpret=mode=quick 2>&1 | FileCheck %s --check-prefix=MODE
// RUN: not primus-opt %s --graph-interpret=integer-bound=0 2>&1 | FileCheck %s --check-prefix=BOUND
// RUN: not primus-opt %s --graph-interpret=function=dynamic 2>&1 | FileCheck %s --check-prefix=DYNAMIC

// MISSING: error: has no function 'missing'; name one with option function
// MODE: error: option mode is 'quick'; expected exact or faithful
// BOUND: error: option integer-bound is 0; expected a positive number

// The results come first, as comments, and then the module as it was.
// CHECK: // main result 0 : tensor<2xf32> = [2, 4]
// EXACT: // main result 1 : tensor<bf16> = 0.333333333
// FAITHFUL: // main result 1 : tensor<bf16> = 0.333984375
// CHECK: // main result 2 : tensor<2xf32> = [0.5, 0.5]
// CHECK: module
graph.variable @half : tensor<2xf32> role parameter init #graph.init<"constant", {value = 0.5 : f64}>

func.func @main() -> (tensor<2xf32>, tensor<bf16>, tensor<2xf32>) {
  %0 = graph.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %1 = graph.add %0, %0 : tensor<2xf32>
  %2 = graph.constant dense<0.33333333333333333> : tensor<f64>
  %3 = graph.convert %2 : tensor<f64> -> tensor<bf16>
  %4 = graph.load @half : tensor<2xf32>
  return %1, %3, %4 : tensor<2xf32>, tensor<bf16>, tensor<2xf32>
}

// MODULE-NOT: result
// MODULE: func.func @inputs
// INPUTS: // inputs result 0 : tensor<3xi32> = [0, 0, 0]
// INPUTS: // inputs result 1 : tensor<f32> = {{-?[0-9]}}
func.func @inputs(%tokens: tensor<3xi32>, %x: tensor<f32>) -> (tensor<3xi32>, tensor<f32>) {
  return %tokens, %x : tensor<3xi32>, tensor<f32>
}

// DYNAMIC: [[@LINE+1]]:1: error: cannot interpret a value of type 'tensor<?xf32>': expected a tensor of static shape
func.func @dynamic(%x: tensor<?xf32>) -> tensor<?xf32> {
  return %x : tensor<?xf32>
}
