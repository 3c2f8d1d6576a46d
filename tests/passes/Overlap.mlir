// RUN: primus-opt %s --step-overlap="bucket=100 unroll=0" | FileCheck %s
// RUN: primus-opt %s --step-overlap=bucket=100 | FileCheck %s --check-prefix=UNROLLED
// RUN: primus-opt %s --step-overlap="bucket=100 trail=0" | FileCheck %s --check-prefix=TRAIL
// RUN: primus-opt %s --step-overlap=bucket=100 | FileCheck %s --check-prefix=PEELED
// RUN: primus-opt %s --step-overlap --step-plan-memory --verify-phase=phase=step

module attributes {graph.mesh = #graph.mesh<"fsdp" = 2, "tp" = 2>} {
  kernel.func @add(%x: memref<16xf32>, %y: memref<16xf32>) grid [1] attributes {kernel.flops = 100 : i64, kernel.bytes = 100 : i64} {
    %0 = arith.constant 0 : index
    %t = kernel.load %x[%0] dims [0] : memref<16xf32> -> tensor<16xf32>
    kernel.store %t, %y[%0] dims [0] : tensor<16xf32>, memref<16xf32>
    kernel.return
  }

  // The gradient of the input is reduced while that of the weight is computed, although it came later.
  // CHECK-LABEL: step.function @backward(
  // CHECK-SAME:    %[[DY:.*]]: memref<16xf32>, %[[X:.*]]: memref<16xf32>, %[[DX:.*]]: memref<16xf32>, %[[DW:.*]]: memref<16xf32>
  // CHECK-NEXT:    %[[PART:.*]] = step.buffer offset -1 "part"
  // CHECK-NEXT:    step.launch @add(%[[DY]], %[[PART]])
  // CHECK-NEXT:    step.collective all_reduce sum over ["tp"] %[[PART]] to %[[PART]] ticket [[T:[0-9]+]]
  // CHECK-NEXT:    step.launch @add(%[[X]], %[[DW]])
  // CHECK-NEXT:    step.wait [[T]]
  // CHECK-NEXT:    step.launch @add(%[[PART]], %[[DX]])
  // CHECK-NEXT:    step.return
  step.function @backward(%dy: memref<16xf32>, %x: memref<16xf32>, %dx: memref<16xf32>, %dw: memref<16xf32>) scratch 0 {
    %part = step.buffer offset -1 "part" : memref<16xf32>
    step.launch @add(%x, %dw) : memref<16xf32>, memref<16xf32>
    step.launch @add(%dy, %part) : memref<16xf32>, memref<16xf32>
    step.collective all_reduce sum over ["tp"] %part to %part : memref<16xf32> to memref<16xf32>
    step.launch @add(%part, %dx) : memref<16xf32>, memref<16xf32>
    step.return
  }

  // Nothing can be computed meanwhile: no ticket.
  // CHECK-LABEL: step.function @forward(
  // CHECK-NEXT:    step.launch
  // CHECK-NEXT:    step.collective all_reduce sum over ["tp"] %{{.*}} to %{{.*}} : memref
  // CHECK-NEXT:    step.launch
  // CHECK-NEXT:    step.return
  step.function @forward(%x: memref<16xf32>, %w: memref<16xf32>, %y: memref<16xf32>) scratch 0 {
    step.launch @add(%w, %y) : memref<16xf32>, memref<16xf32>
    step.collective all_reduce sum over ["tp"] %y to %y : memref<16xf32> to memref<16xf32>
    step.launch @add(%x, %y) : memref<16xf32>, memref<16xf32>
    step.return
  }

  // Both arguments are one buffer where @aliased is called, so that %y's write may not move before the read of %x.
  // CHECK-LABEL: step.function @aliased(
  // CHECK-NEXT:    step.launch @add(%{{.*}}, %[[Z:.*]])
  // CHECK-NEXT:    step.collective all_reduce sum over ["tp"] %[[Z]] to %[[Z]] :
  // CHECK-NEXT:    step.launch @add(%[[Z]], %{{.*}})
  // CHECK-NEXT:    step.fill
  step.function @aliased(%x: memref<16xf32>, %y: memref<16xf32>, %z: memref<16xf32>) scratch 0 {
    step.launch @add(%x, %z) : memref<16xf32>, memref<16xf32>
    step.collective all_reduce sum over ["tp"] %z to %z : memref<16xf32> to memref<16xf32>
    step.launch @add(%z, %x) : memref<16xf32>, memref<16xf32>
    step.fill %y : memref<16xf32>
    step.return
  }

  step.function @accumulate(%g: memref<8xf32>, %sum: memref<8xf32>) scratch 0 {
    step.copy %g, %sum : memref<8xf32>
    step.return
  }

  // Weights are gathered one layer ahead, those of one layer together; gradients are reduced behind the next layer's backward.
  // CHECK-LABEL: step.program @p(
  // CHECK:         step.loop 2 {
  // CHECK:           step.collective all_gather over ["fsdp"] %[[A:.*]] to %[[WA:.*]] dims [0] ticket [[F:[0-9]+]] instance "layers.0" because "a"
  // CHECK:           step.collective all_gather over ["fsdp"] %{{.*}}, %{{.*}} to %[[WB:.*]], %[[WB2:.*]] dims [0, 0] ticket [[G:[0-9]+]] instance "layers.1" because "b; b2"
  // CHECK:           step.wait [[F]]
  // CHECK:           step.call @forward({{.*}}) instance "layers.0"
  // CHECK-NEXT:      step.wait [[G]]
  // CHECK-NEXT:      step.call @forward({{.*}}) instance "layers.1"
  // CHECK-NEXT:      step.call @forward({{.*}}) instance "layers.1"
  // CHECK:           step.collective reduce_scatter sum over ["fsdp"] %{{.*}} to %[[G1:.*]] dims [0] ticket [[R:[0-9]+]]
  // CHECK:           step.call @backward({{.*}}) instance "layers.0"
  // CHECK:           step.wait [[R]]
  // CHECK-NEXT:      step.call @accumulate(%[[G1]], {{.*}}) instance "layers.1"
  // CHECK:           step.call @accumulate({{.*}}) instance "layers.0"
  // CHECK-NEXT:    }
  // Behind the loop, what the next layer's gather needs is computed before this layer.
  // CHECK:         step.call @accumulate(%{{.*}}, %[[H0:.*]]) instance "layers.0"
  // CHECK:         step.collective all_gather over ["fsdp"] %[[H0]] to %{{.*}} dims [0] ticket
  // CHECK:         step.call @accumulate(%{{.*}}, %[[H1:.*]]) instance "layers.1"
  // CHECK:         step.collective all_gather over ["fsdp"] %[[H1]] to %[[W1:.*]] dims [0] ticket [[N:[0-9]+]]
  // CHECK:         step.call @forward({{.*}}) instance "layers.0"
  // CHECK-NEXT:    step.wait [[N]]
  // CHECK-NEXT:    step.call @forward(%{{.*}}, %[[W1]], %{{.*}}) instance "layers.1"
  // Gathers for the second round take the link before the first round's gradients, which are reduced behind its beginning.
  // UNROLLED-LABEL: step.program @p(
  // UNROLLED-NOT:     step.loop
  // UNROLLED:         step.call @backward({{.*}}) instance "layers.1"
  // UNROLLED:         step.collective all_gather over ["fsdp"] {{.*}} instance "layers.1"
  // UNROLLED:         step.call @backward({{.*}}) instance "layers.0"
  // UNROLLED:         step.call @forward({{.*}}) instance "layers.0"
  // UNROLLED:         step.collective reduce_scatter sum over ["fsdp"] {{.*}} ticket [[R:[0-9]+]]
  // UNROLLED:         step.wait [[R]]
  // UNROLLED-NEXT:    step.call @accumulate({{.*}}) instance "layers.1"
  // No layer is behind a reduction that is not done.
  // TRAIL-LABEL: step.program @p(
  // TRAIL:         step.call @backward({{.*}}) instance "layers.1"
  // TRAIL:         step.collective reduce_scatter sum over ["fsdp"]
  // TRAIL:         step.call @accumulate({{.*}}) instance "layers.1"
  // TRAIL:         step.call @backward({{.*}}) instance "layers.0"
  step.program @p(%x: memref<16xf32> {step.name = "x"}, %a: memref<8xf32> {step.name = "a"}, %b: memref<8xf32> {step.name = "b"},
                  %b2: memref<8xf32> {step.name = "b2"}, %s: memref<8xf32> {step.name = "s"}, %z: memref<16xf32> {step.name = "z"}) arena 0 {
    step.loop 2 {
      %y = step.buffer offset -1 "y" : memref<16xf32>
      %wa = step.buffer offset -1 "wa" : memref<16xf32>
      %wb = step.buffer offset -1 "wb" : memref<16xf32>
      %wb2 = step.buffer offset -1 "wb2" : memref<16xf32>
      %dx = step.buffer offset -1 "dx" : memref<16xf32>
      %dx0 = step.buffer offset -1 "dx0" : memref<16xf32>
      %dw1 = step.buffer offset -1 "dw1" : memref<16xf32>
      %dw0 = step.buffer offset -1 "dw0" : memref<16xf32>
      %g1 = step.buffer offset -1 "g1" : memref<8xf32>
      %g0 = step.buffer offset -1 "g0" : memref<8xf32>
      step.collective all_gather over ["fsdp"] %a to %wa dims [0] instance "layers.0" because "a" : memref<8xf32> to memref<16xf32>
      step.call @forward(%x, %wa, %y) instance "layers.0" : memref<16xf32>, memref<16xf32>, memref<16xf32>
      step.collective all_gather over ["fsdp"] %b to %wb dims [0] instance "layers.1" because "b" : memref<8xf32> to memref<16xf32>
      step.collective all_gather over ["fsdp"] %b2 to %wb2 dims [0] instance "layers.1" because "b2" : memref<8xf32> to memref<16xf32>
      step.call @forward(%x, %wb, %y) instance "layers.1" : memref<16xf32>, memref<16xf32>, memref<16xf32>
      step.call @forward(%x, %wb2, %y) instance "layers.1" : memref<16xf32>, memref<16xf32>, memref<16xf32>
      step.call @backward(%y, %x, %dx, %dw1) instance "layers.1" : memref<16xf32>, memref<16xf32>, memref<16xf32>, memref<16xf32>
      step.collective reduce_scatter sum over ["fsdp"] %dw1 to %g1 dims [0] : memref<16xf32> to memref<8xf32>
      step.call @accumulate(%g1, %s) instance "layers.1" : memref<8xf32>, memref<8xf32>
      step.call @backward(%dx, %x, %dx0, %dw0) instance "layers.0" : memref<16xf32>, memref<16xf32>, memref<16xf32>, memref<16xf32>
      step.collective reduce_scatter sum over ["fsdp"] %dw0 to %g0 dims [0] : memref<16xf32> to memref<8xf32>
      step.call @accumulate(%g0, %s) instance "layers.0" : memref<8xf32>, memref<8xf32>
      step.return
    }
    %half = step.buffer offset -1 "half" : memref<8xf32>
    %w0 = step.buffer offset -1 "w0" : memref<16xf32>
    %w1 = step.buffer offset -1 "w1" : memref<16xf32>
    %half1 = step.buffer offset -1 "half1" : memref<8xf32>
    step.call @accumulate(%a, %half) instance "layers.0" : memref<8xf32>, memref<8xf32>
    step.collective all_gather over ["fsdp"] %half to %w0 dims [0] : memref<8xf32> to memref<16xf32>
    step.call @forward(%x, %w0, %z) instance "layers.0" : memref<16xf32>, memref<16xf32>, memref<16xf32>
    step.call @accumulate(%b, %half1) instance "layers.1" : memref<8xf32>, memref<8xf32>
    step.collective all_gather over ["fsdp"] %half1 to %w1 dims [0] : memref<8xf32> to memref<16xf32>
    step.call @forward(%x, %w1, %z) instance "layers.1" : memref<16xf32>, memref<16xf32>, memref<16xf32>
    step.call @aliased(%x, %x, %z) instance "end" : memref<16xf32>, memref<16xf32>, memref<16xf32>
    step.return
  }

  step.function @round(%x: memref<16xf32>, %w: memref<65536xf32>, %sum: memref<65536xf32>) scratch 0 {
    step.copy %w, %sum : memref<65536xf32>
    step.launch @add(%x, %x) : memref<16xf32>, memref<16xf32>
    step.return
  }

  // The first and the last of many rounds can run beside what stands around the loop.
  // CHECK-LABEL: step.program @around(
  // CHECK:         step.loop 5 {
  // PEELED-LABEL: step.program @around(
  // PEELED-SAME:    %[[X:.*]]: memref<5x16xf32>
  // PEELED:         step.view %[[X]] at 0 : memref<5x16xf32> -> memref<16xf32>
  // PEELED:         step.call @round(
  // PEELED:         %[[REST:.*]] = step.view %[[X]] at 64 : memref<5x16xf32> -> memref<3x16xf32>
  // PEELED:         step.loop 3 {
  // PEELED:           step.microbatch %[[REST]] : memref<3x16xf32> -> memref<16xf32>
  // PEELED:         }
  // PEELED:         step.view %[[X]] at 256 : memref<5x16xf32> -> memref<16xf32>
  // PEELED:         step.call @round(
  // PEELED:         step.collective reduce_scatter
  step.program @around(%x: memref<5x16xf32> {step.name = "x"}, %w: memref<32768xf32> {step.name = "w"}, %g: memref<32768xf32> {step.name = "g", step.output}) arena 0 {
    %whole = step.buffer offset -1 "whole" : memref<65536xf32>
    %sum = step.buffer offset -1 "sum" : memref<65536xf32>
    step.collective all_gather over ["fsdp"] %w to %whole dims [0] : memref<32768xf32> to memref<65536xf32>
    step.fill %sum : memref<65536xf32>
    step.loop 5 {
      %m = step.microbatch %x : memref<5x16xf32> -> memref<16xf32>
      step.call @round(%m, %whole, %sum) instance "layers.0" : memref<16xf32>, memref<65536xf32>, memref<65536xf32>
      step.return
    }
    step.collective reduce_scatter sum over ["fsdp"] %sum to %g dims [0] : memref<65536xf32> to memref<32768xf32>
    step.return
  }
}
