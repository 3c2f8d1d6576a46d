// RUN: primus-opt %s --step-plan-memory | FileCheck %s

module attributes {graph.mesh = #graph.mesh<"tp" = 2>} {
  kernel.func @k(%x: memref<16xf32>, %y: memref<16xf32>) grid [1] {
    kernel.return
  }

  // Buffers that are never live together share a place; those that are do not.
  // CHECK-LABEL: step.function @f
  // CHECK-SAME: scratch 128
  // CHECK: step.buffer offset [[A:0|64]] "a"
  // CHECK: step.buffer offset {{0|64}} "b"
  // CHECK: step.buffer offset [[A]] "c"
  step.function @f(%x: memref<16xf32>) scratch 0 {
    %a = step.buffer offset -1 "a" : memref<16xf32>
    %b = step.buffer offset -1 "b" : memref<16xf32>
    %c = step.buffer offset -1 "c" : memref<16xf32>
    step.launch @k(%x, %a) : memref<16xf32>, memref<16xf32>
    step.launch @k(%a, %b) : memref<16xf32>, memref<16xf32>
    step.launch @k(%b, %c) : memref<16xf32>, memref<16xf32>
    step.launch @k(%c, %x) : memref<16xf32>, memref<16xf32>
    step.return
  }

  // A buffer from before a loop stays live through all of it, so one of the loop's own can't take its place.
  // CHECK-LABEL: step.program @p
  // CHECK-SAME: arena 320
  // The largest comes first in memory: the scratch region of @f.
  // CHECK: step.buffer offset 192 "outside"
  // CHECK: step.buffer offset 256 "inside"
  // CHECK: step.buffer offset 0 "f.scratch" : memref<128xi8>
  step.program @p(%x: memref<16xf32> {step.name = "x"}) arena 0 {
    %outside = step.buffer offset -1 "outside" : memref<16xf32>
    step.launch @k(%x, %outside) : memref<16xf32>, memref<16xf32>
    step.loop 3 {
      %inside = step.buffer offset -1 "inside" : memref<16xf32>
      step.launch @k(%outside, %inside) : memref<16xf32>, memref<16xf32>
      step.call @f(%inside) instance "f" : memref<16xf32>
      step.return
    }
    step.return
  }

  // What an asynchronous collective uses stays live until the wait: %b may take the place of %a only behind it.
  // CHECK-LABEL: step.function @overlapped
  // CHECK-SAME: scratch 128
  // CHECK: step.buffer offset [[A:0|64]] "a"
  // CHECK: step.buffer offset {{0|64}} "b"
  // CHECK: step.buffer offset [[A]] "c"
  step.function @overlapped(%x: memref<16xf32>, %y: memref<16xf32>) scratch 0 {
    %a = step.buffer offset -1 "a" : memref<16xf32>
    %b = step.buffer offset -1 "b" : memref<16xf32>
    %c = step.buffer offset -1 "c" : memref<16xf32>
    step.copy %x, %a : memref<16xf32>
    step.collective all_reduce sum over ["tp"] %a to %y ticket 1 : memref<16xf32> to memref<16xf32>
    step.copy %x, %b : memref<16xf32>
    step.wait 1
    step.copy %b, %c : memref<16xf32>
    step.return
  }
}
