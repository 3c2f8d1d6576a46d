// RUN: primus-opt %s | primus-opt | FileCheck %s

kernel.func @copy(%x: memref<4x8xf32>, %y: memref<4x8xf32>) grid [4] {
  kernel.return
}

// CHECK: step.function @f(%[[X:.*]]: memref<4x8xf32>, %[[Y:.*]]: memref<4x8xf32>) scratch 128 {
step.function @f(%x: memref<4x8xf32>, %y: memref<4x8xf32>) scratch 128 {
  // CHECK: %[[T:.*]] = step.buffer offset 0 : memref<4x8xf32>
  %t = step.buffer offset 0 : memref<4x8xf32>
  // CHECK: step.launch @copy(%[[X]], %[[T]]) : memref<4x8xf32>, memref<4x8xf32>
  step.launch @copy(%x, %t) : memref<4x8xf32>, memref<4x8xf32>
  // CHECK: step.copy %[[T]], %[[Y]] : memref<4x8xf32>
  step.copy %t, %y : memref<4x8xf32>
  // CHECK: step.return
  step.return
}

graph.variable @w : tensor<4x8xf32> role parameter init #graph.init<"zeros">

// CHECK: step.program @train_step(%{{.*}}: memref<4x2x8xi32> {step.name = "tokens", step.offset = 0 : i64}, %{{.*}}: memref<f32> {step.name = "loss"}) arena 4096 attributes {note = 1 : i64} {
step.program @train_step(%tokens: memref<4x2x8xi32> {step.name = "tokens", step.offset = 0 : i64},
                         %loss: memref<f32> {step.name = "loss"}) arena 4096 attributes {note = 1 : i64} {
  // CHECK: step.buffer offset -1 "layers.3.x" : memref<4x8xf32>
  %b = step.buffer offset -1 "layers.3.x" : memref<4x8xf32>
  // CHECK: step.buffer offset 256 variable @w : memref<4x8xf32>
  %w = step.buffer offset 256 variable @w : memref<4x8xf32>
  // CHECK: step.fill %{{.*}} : memref<4x8xf32>
  step.fill %b : memref<4x8xf32>
  // CHECK: step.loop 4 {
  step.loop 4 {
    // CHECK: step.microbatch %{{.*}} : memref<4x2x8xi32> -> memref<2x8xi32>
    %m = step.microbatch %tokens : memref<4x2x8xi32> -> memref<2x8xi32>
    // CHECK: step.view %{{.*}} at 32 : memref<2x8xi32> -> memref<8xi32>
    %v = step.view %m at 32 : memref<2x8xi32> -> memref<8xi32>
    step.return
  }
  // CHECK: step.call @f(%{{.*}}, %{{.*}}) instance "layers.3" : memref<4x8xf32>, memref<4x8xf32>
  step.call @f(%w, %b) instance "layers.3" : memref<4x8xf32>, memref<4x8xf32>
  %s = step.buffer offset 512 : memref<128xi8>
  // CHECK: step.call @f(%{{.*}}, %{{.*}}) scratch(%{{.*}} : memref<128xi8>) instance "layers.4" : memref<4x8xf32>, memref<4x8xf32>
  step.call @f(%w, %b) scratch(%s : memref<128xi8>) instance "layers.4" : memref<4x8xf32>, memref<4x8xf32>
  step.return
}
