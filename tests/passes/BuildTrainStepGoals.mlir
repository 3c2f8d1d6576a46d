// Gradients alone: a program that leaves them in their variables, and neither moments nor an optimizer.

// RUN: sed 's/graph.plan = {/graph.plan = {goal = "gradients", /' %S/Inputs/tiny-llama-model.mlir > %t.mlir
// RUN: primus-opt %t.mlir --graph-autodiff --graph-build-train-step --mlir-use-nameloc-as-prefix | FileCheck %s --implicit-check-not=adamw --implicit-check-not="role optimizer" --implicit-check-not=@clip --implicit-check-not=@train_step

// CHECK:       goal = "gradients"
// CHECK:       graph.variable @embedding.weight.grad : {{.*}} role gradient
// CHECK:       func.func @gradients(%tokens: tensor<3x2x5xi32> {graph.name = "tokens"}, %labels: tensor<3x2x5xi32> {graph.name = "labels"}) -> (tensor<f32> {graph.name = "loss"})
// CHECK:         graph.schedule microbatches 3
// CHECK:         %[[NORMALISED:.*]]:2 = graph.call @normalise
// CHECK:         graph.call @embedding.reduce({{.*}}%[[NORMALISED]]#1
// CHECK:         graph.store {{.*}}, @embedding.weight.grad
// CHECK:         return %[[NORMALISED]]#0 : tensor<f32>

// Nothing beyond the forward pass: both passes leave the module as it is.

// RUN: sed 's/graph.plan = {/graph.plan = {goal = "forward", /' %S/Inputs/tiny-llama-model.mlir > %t.forward.mlir
// RUN: primus-opt %t.forward.mlir > %t.before && primus-opt %t.forward.mlir --graph-autodiff --graph-build-train-step > %t.after
// RUN: diff %t.before %t.after

// A goal that does not exist.

// RUN: sed 's/graph.plan = {/graph.plan = {goal = "fame", /' %S/Inputs/tiny-llama-model.mlir > %t.bad.mlir
// RUN: not primus-opt %t.bad.mlir --graph-autodiff 2>&1 | FileCheck %s --check-prefix=BAD
// BAD: graph.plan: entry 'goal' is "fame", but must be training, gradients or forward
