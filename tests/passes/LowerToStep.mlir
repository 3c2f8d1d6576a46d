// RUN: primus-opt %s --lower-to-step | FileCheck %s
// RUN: primus-opt %s --lower-to-step --step-plan-memory | primus-opt | FileCheck %s --check-prefix=PLANNED

module @m attributes {graph.plan = {}, primus.target = "cpu", primus.cpu_features = ["avx512f"]} {
  graph.variable @l.0.w : tensor<4x8xf32> role parameter init #graph.init<"ones"> {decay}
  graph.variable @l.0.w.grad : tensor<4x8xf32> role gradient init #graph.init<"zeros">

  // A kernel says what a launch costs and where it comes from.
  // CHECK: kernel.func @f.forward.rows(
  // CHECK-SAME: attributes {kernel.bytes = 256 : i64, kernel.defined_by = "f.forward", kernel.family = "rows", kernel.flops = 32 : i64}

  // A chain of two fusions: the first result is a temporary, the second is computed in the output; the reshape is a view.
  // CHECK-LABEL: step.function @f.forward
  // CHECK-SAME: %[[X:.*]]: memref<4x8xf32>, %[[Y:.*]]: memref<32xf32>
  // CHECK: %[[T:.*]] = step.buffer offset -1 : memref<4x8xf32>
  // CHECK: %[[XV:.*]] = step.view %[[X]] at 0
  // CHECK: %[[TV:.*]] = step.view %[[T]] at 0
  // CHECK: step.launch @f.forward.rows(%[[XV]], %[[TV]])
  // CHECK: %[[TV2:.*]] = step.view %[[T]] at 0
  // CHECK: step.launch @f.forward.rows_1(%[[TV2]], %[[Y]])
  // CHECK-NEXT: step.return
  func.func private @f.forward(%x: tensor<4x8xf32>) -> tensor<32xf32> attributes {graph.layer = {layer = "f", part = "forward"}} {
    %0 = graph.fusion "rows" (%a = %x) : (tensor<4x8xf32>) -> tensor<4x8xf32> {
      %e = graph.exp %a : tensor<4x8xf32>
      graph.yield %e : tensor<4x8xf32>
    }
    %1 = graph.fusion "rows" (%a = %0) : (tensor<4x8xf32>) -> tensor<4x8xf32> {
      %e = graph.neg %a : tensor<4x8xf32>
      graph.yield %e : tensor<4x8xf32>
    }
    %2 = graph.reshape %1 : tensor<4x8xf32> -> tensor<32xf32>
    return %2 : tensor<32xf32>
  }

  func.func private @f.backward(%x: tensor<4x8xf32>, %acc: tensor<4x8xf32>) -> (tensor<4x8xf32> {graph.inplace = 1 : i64}) attributes {graph.layer = {layer = "f", part = "backward"}} {
    %0 = graph.fusion "rows" (%a = %x, %b = %acc) : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32> {
      %e = graph.add %a, %b : tensor<4x8xf32>
      graph.yield %e : tensor<4x8xf32>
    }
    return %0 : tensor<4x8xf32>
  }

  // The accumulator is updated where it lies; zeroing it is a fill; the sum over microbatches has its own function.
  // CHECK-LABEL: step.program @train
  // CHECK-SAME: step.name = "tokens"
  // CHECK: %[[G:.*]] = step.buffer offset -1 variable @l.0.w.grad :
  // CHECK: step.fill %[[G]]
  // CHECK: step.loop 2 {
  // CHECK: %[[M:.*]] = step.microbatch
  // CHECK: step.call @f.backward(%[[M]], %[[G]], %[[G]]) instance "l.0"
  // CHECK: step.call @schedule.accumulate
  // CHECK-NOT: step.copy %{{.*}}, %[[G]]
  // CHECK: step.return

  // PLANNED: graph.variable @l.0.w : {{.*}}step.offset = 0 : i64
  // PLANNED: graph.variable @l.0.w.grad : {{.*}}step.offset = 128 : i64
  // PLANNED: step.function @f.forward({{.*}}) scratch 128
  // PLANNED: step.program @train({{.*}}step.offset = {{[0-9]+}} : i64{{.*}}) arena {{[1-9]}}
  // PLANNED: step.call @f.forward({{.*}}) scratch(%{{.*}} : memref<128xi8>) instance
  func.func @train(%tokens: tensor<2x4x8xf32> {graph.name = "tokens"}) -> (tensor<32xf32> {graph.name = "loss"}) {
    %zero = graph.constant dense<0.0> : tensor<4x8xf32>
    graph.store %zero, @l.0.w.grad : tensor<4x8xf32>
    %w = graph.load @l.0.w : tensor<4x8xf32>
    %sum = graph.schedule microbatches 2 (%t = %tokens) : (tensor<2x4x8xf32>) -> tensor<32xf32> {
      %y = graph.call @f.forward(%t) instance "l.0" : (tensor<4x8xf32>) -> tensor<32xf32>
      %g = graph.load @l.0.w.grad : tensor<4x8xf32>
      %n = graph.call @f.backward(%t, %g) instance "l.0" : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
      graph.store %n, @l.0.w.grad : tensor<4x8xf32>
      graph.yield %y : tensor<32xf32>
    }
    %z = graph.call @f.forward(%w) instance "l.0" : (tensor<4x8xf32>) -> tensor<32xf32>
    return %sum : tensor<32xf32>
  }
}
