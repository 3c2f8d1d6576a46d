// ZeRO 2: backward functions give gradients, which are added at call level, where they can be reduced before.

// RUN: sed 's/graph.plan = {/graph.plan = {zero = 2 : i64, /' %S/Inputs/tiny-llama-model.mlir > %t.mlir
// RUN: primus-opt %t.mlir --graph-autodiff --graph-build-train-step --mlir-use-nameloc-as-prefix | FileCheck %s

// CHECK-LABEL: func.func private @embedding.backward(
// CHECK-NOT:     accumulator
// CHECK-SAME:    -> (tensor<{{.*}}xf32> {graph.name = "weight.grad", graph.of = 1 : i64})
// CHECK-LABEL: func.func private @embedding.backward.accumulate(
// CHECK-SAME:    %weight.grad: [[T:tensor<.*>]] {graph.arg = "gradient", graph.name = "weight.grad"}, %weight.grad.sum: [[T]] {graph.arg = "accumulator", graph.name = "weight.grad.sum"})
// CHECK-SAME:    -> ([[T]] {graph.inplace = 1 : i64, graph.name = "weight.grad.sum"})
// CHECK-SAME:    graph.layer = {layer = "embedding", part = "accumulate"}
// CHECK:         %[[SUM:.*]] = graph.add %weight.grad.sum, %weight.grad
// CHECK:         return %[[SUM]]
// CHECK-LABEL: func.func @train_step(
// CHECK:         graph.load @embedding.weight :
// CHECK:         graph.schedule microbatches
// CHECK-NOT:       graph.load @embedding.weight :
// CHECK:           %[[GRADIENT:.*]] = graph.call @embedding.backward(
// CHECK-NEXT:      %[[OLD:.*]] = graph.load @embedding.weight.grad
// CHECK-NEXT:      %[[NEW:.*]] = graph.call @embedding.backward.accumulate(%[[GRADIENT]], %[[OLD]]) instance "embedding"
// CHECK-NEXT:      graph.store %[[NEW]], @embedding.weight.grad
// CHECK:           graph.yield

// ZeRO 3: parameters are loaded, and so gathered, for each use.

// RUN: sed 's/graph.plan = {/graph.plan = {zero = 3 : i64, /' %S/Inputs/tiny-llama-model.mlir > %t3.mlir
// RUN: primus-opt %t3.mlir --graph-autodiff --graph-build-train-step --mlir-use-nameloc-as-prefix | FileCheck %s --check-prefix=USE

// USE-LABEL: func.func @train_step(
// USE-NOT:     graph.load @layers.0.attention.q.weight :
// USE:         graph.schedule microbatches
// USE:           %[[Q:.*]] = graph.load @layers.0.attention.q.weight :
// USE:           graph.call @block.forward({{.*}}%[[Q]]{{.*}} instance "layers.0"
// USE:           %[[AGAIN:.*]] = graph.load @layers.0.attention.q.weight :
// USE:           graph.call @block.backward({{.*}}%[[AGAIN]]{{.*}} instance "layers.0"
// USE:           graph.yield
