// RUN: primus-opt %s --step-start-messages | FileCheck %s

module attributes {graph.mesh = #graph.mesh<"pp" = 2, "dp" = 2>} {
  kernel.func @k(%x: memref<16xf32>, %y: memref<16xf32>) grid [1] {
    %0 = arith.constant 0 : index
    %t = kernel.load %x[%0] dims [0] : memref<16xf32> -> tensor<16xf32>
    kernel.store %t, %y[%0] dims [0] : tensor<16xf32>, memref<16xf32>
    kernel.return
  }

  // Stage 0 runs microbatches 0 and 1 forward, then backward.
  // CHECK-LABEL: step.program @p.0
  step.program @p.0(%x: memref<16xf32> {step.name = "x"}, %loss: memref<f32> {step.name = "loss"}) arena 0 attributes {graph.stage = 0 : i64} {
    %y0 = step.buffer offset -1 "y0" : memref<16xf32>
    %y1 = step.buffer offset -1 "y1" : memref<16xf32>
    %d0 = step.buffer offset -1 "d0" : memref<16xf32>
    %d1 = step.buffer offset -1 "d1" : memref<16xf32>
    // CHECK: step.launch @k
    // CHECK-NEXT: step.send %{{.*}} to 1 ticket 1
    step.launch @k(%x, %y0) : memref<16xf32>, memref<16xf32>
    step.send %y0 to 1 : memref<16xf32>
    // What is received is waited for where it is used.
    // CHECK-NEXT: step.receive %{{.*}} from 1 ticket 2
    step.receive %d0 from 1 : memref<16xf32>
    // CHECK-NEXT: step.launch @k
    // CHECK-NEXT: step.send %{{.*}} to 1 ticket 3
    step.launch @k(%x, %y1) : memref<16xf32>, memref<16xf32>
    step.send %y1 to 1 : memref<16xf32>
    // CHECK-NEXT: step.receive %{{.*}} from 1 ticket 4
    step.receive %d1 from 1 : memref<16xf32>
    // CHECK-NEXT: step.wait 2
    // CHECK-NEXT: step.launch @k
    step.launch @k(%d0, %x) : memref<16xf32>, memref<16xf32>
    // CHECK-NEXT: step.wait 4
    // CHECK-NEXT: step.launch @k
    step.launch @k(%d1, %x) : memref<16xf32>, memref<16xf32>
    // Sums over the stages too; those of a stage are somebody else's.
    // CHECK-NEXT: step.collective all_reduce sum over ["pp"] %{{.*}} to %{{.*}} ticket 5
    // CHECK-NEXT: step.collective all_reduce sum over ["dp"] %{{.*}} to %{{[^ ]*}} :
    step.collective all_reduce sum over ["pp"] %loss to %loss : memref<f32> to memref<f32>
    step.collective all_reduce sum over ["dp"] %x to %x : memref<16xf32> to memref<16xf32>
    // CHECK-NEXT: step.wait 1
    // CHECK-NEXT: step.wait 3
    // CHECK-NEXT: step.wait 5
    // CHECK-NEXT: step.return
    step.return
  }

  // Stage 1 sends a gradient after each microbatch.
  // CHECK-LABEL: step.program @p.1
  step.program @p.1(%x: memref<16xf32> {step.name = "x"}, %loss: memref<f32> {step.name = "loss"}) arena 0 attributes {graph.stage = 1 : i64} {
    %y0 = step.buffer offset -1 "y0" : memref<16xf32>
    %y1 = step.buffer offset -1 "y1" : memref<16xf32>
    %d0 = step.buffer offset -1 "d0" : memref<16xf32>
    %d1 = step.buffer offset -1 "d1" : memref<16xf32>
    // CHECK: step.receive
    step.receive %y0 from 0 : memref<16xf32>
    // CHECK: step.receive %{{.*}} from 0 ticket [[Y1:[0-9]+]]
    step.receive %y1 from 0 : memref<16xf32>
    step.launch @k(%y0, %d0) : memref<16xf32>, memref<16xf32>
    // CHECK: step.send %{{.*}} to 0 ticket [[D0:[0-9]+]]
    step.send %d0 to 0 : memref<16xf32>
    // CHECK: step.wait [[Y1]]
    step.launch @k(%y1, %d1) : memref<16xf32>, memref<16xf32>
    // Microbatch 1 was sent after stage 0 had started to receive the gradient of microbatch 0: that has gone, and its buffer is free.
    // CHECK: step.wait [[D0]]
    // CHECK-NEXT: step.send %{{.*}} to 0 ticket
    step.send %d1 to 0 : memref<16xf32>
    step.collective all_reduce sum over ["pp"] %loss to %loss : memref<f32> to memref<f32>
    step.return
  }
}
