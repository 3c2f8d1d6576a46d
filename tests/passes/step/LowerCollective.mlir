// RUN: primus-opt %s --lower-to-step | FileCheck %s
// RUN: primus-opt %s --lower-to-step --step-overlap --step-plan-memory --verify-phase=phase=step | FileCheck %s --check-prefix=PLANNED

module attributes {graph.mesh = #graph.mesh<"fsdp" = 2, "tp" = 2>, primus.target = "cpu", primus.cpu_features = ["avx512f"]} {
  graph.variable @w : tensor<4x8xf32, #graph.layout<mesh, [["fsdp"], []]>> role parameter init #graph.init<"ones">
  graph.variable @w.grad : tensor<8x8xf32, #graph.layout<mesh, [[], []], partial = {fsdp : sum}>> role gradient init #graph.init<"zeros">

  // A partial temporary is reduced where it lies; one that is returned is computed and reduced in the output.
  // CHECK-LABEL: step.function @f.forward
  // CHECK-SAME:    %[[X:.*]]: memref<8x8xf32>, %[[Y:.*]]: memref<64xf32>, %[[Z:.*]]: memref<8x8xf32>
  // CHECK:         %[[T:.*]] = step.buffer
  // CHECK:         %[[TV:.*]] = step.view %[[T]]
  // CHECK:         step.launch @f.forward.rows(%{{.*}}, %[[TV]]) :
  // CHECK-NEXT:    step.collective all_reduce sum over ["tp"] %[[T]] to %[[T]] because "x.reduced" :
  // CHECK:         %[[YV:.*]] = step.view %[[Y]] at 0 : memref<64xf32> -> memref<8x8xf32>
  // CHECK:         step.launch @f.forward.rows(%{{.*}}, %[[Y]])
  // CHECK:         step.collective all_reduce max over ["fsdp", "tp"] %[[YV]] to %[[YV]] : memref<8x8xf32>
  // The argument is the caller's: it stays as it is.
  // CHECK:         step.collective all_reduce sum over ["tp"] %[[X]] to %[[Z]] :
  func.func private @f.forward(%x: tensor<8x8xf32>) -> (tensor<64xf32>, tensor<8x8xf32>) attributes {graph.layer = {layer = "f", part = "forward"}} {
    %0 = graph.fusion "rows" (%a = %x) : (tensor<8x8xf32>) -> tensor<8x8xf32> {
      %e = graph.exp %a : tensor<8x8xf32>
      graph.yield %e : tensor<8x8xf32>
    }
    %1 = graph.all_reduce sum %0 over ["tp"] {graph.reason = "x.reduced"} : tensor<8x8xf32> -> tensor<8x8xf32>
    %2 = graph.fusion "rows" (%a = %1) : (tensor<8x8xf32>) -> tensor<8x8xf32> {
      %e = graph.exp %a : tensor<8x8xf32>
      graph.yield %e : tensor<8x8xf32>
    }
    %3 = graph.all_reduce max %2 over ["fsdp", "tp"] : tensor<8x8xf32> -> tensor<8x8xf32>
    %4 = graph.reshape %3 : tensor<8x8xf32> -> tensor<64xf32>
    %5 = graph.all_reduce sum %x over ["tp"] : tensor<8x8xf32> -> tensor<8x8xf32>
    return %4, %5 : tensor<64xf32>, tensor<8x8xf32>
  }

  // Every kind, and a value that is read again after its reduction.
  // CHECK-LABEL: step.function @kinds.forward
  // CHECK:         %[[T:.*]] = step.buffer
  // CHECK:         step.launch
  // CHECK:         step.collective all_reduce sum over ["tp"] %[[T]] to %[[R:.*]] :
  // CHECK:         step.collective reduce_scatter sum over ["tp"] %[[R]] to %{{.*}} dims [1] :
  // CHECK:         step.collective all_to_all over ["tp"] %{{.*}} to %{{.*}} dims [0] concat [1] :
  // CHECK:         step.collective all_gather over ["tp"] %{{.*}} to %{{.*}} dims [0] :
  // CHECK:         step.collective permute over ["fsdp"] %{{.*}} to %{{.*}} shift 1 :
  // CHECK:         step.collective block over ["fsdp"] %[[T]] to %{{.*}} dims [0] :
  func.func private @kinds.forward(%x: tensor<8x8xf32>) -> (tensor<8x8xf32>, tensor<4x8xf32>) attributes {graph.layer = {layer = "kinds", part = "forward"}} {
    %0 = graph.fusion "rows" (%a = %x) : (tensor<8x8xf32>) -> tensor<8x8xf32> {
      %e = graph.exp %a : tensor<8x8xf32>
      graph.yield %e : tensor<8x8xf32>
    }
    %1 = graph.all_reduce sum %0 over ["tp"] : tensor<8x8xf32> -> tensor<8x8xf32>
    %2 = graph.reduce_scatter sum %1 over ["tp"] dim 1 : tensor<8x8xf32> -> tensor<8x4xf32>
    %3 = graph.all_to_all %2 over ["tp"] split 0 concat 1 : tensor<8x4xf32> -> tensor<4x8xf32>
    %4 = graph.all_gather %3 over ["tp"] dim 0 : tensor<4x8xf32> -> tensor<8x8xf32>
    %5 = graph.permute %4 over ["fsdp"] shift 1 : tensor<8x8xf32>
    %6 = graph.block %0 over ["fsdp"] dim 0 : tensor<8x8xf32> -> tensor<4x8xf32>
    return %5, %6 : tensor<8x8xf32>, tensor<4x8xf32>
  }

  // A program gathers a loaded variable, and reduces what dies there in place: gradients, and values between calls.
  // CHECK-LABEL: step.program @train
  // CHECK-SAME:    step.layout = #{{.*}}tp
  // CHECK-DAG:     %[[W:.*]] = step.buffer offset -1 variable @w :
  // CHECK-DAG:     %[[G:.*]] = step.buffer offset -1 variable @w.grad :
  // CHECK:         step.collective all_gather over ["fsdp"] %[[W]] to %[[WHOLE:.*]] dims [0] instance "l.0" because "w.whole" :
  // CHECK:         step.call @f.forward(%[[WHOLE]], {{.*}}) instance "l.0"
  // CHECK:         step.collective all_reduce sum over ["fsdp"] %[[G]] to %[[G]] instance "l.1" :
  // CHECK:         step.collective all_reduce sum over ["tp"] %[[S:.*]] to %[[S]] instance "l.1" :
  // PLANNED-LABEL: step.program @train
  func.func @train(%x: tensor<8x8xf32, #graph.layout<mesh, [["tp"], []]>>) -> tensor<8x8xf32> {
    %w = graph.load @w : tensor<4x8xf32, #graph.layout<mesh, [["fsdp"], []]>>
    %whole = graph.all_gather %w over ["fsdp"] dim 0 {graph.reason = "w.whole"} : tensor<4x8xf32, #graph.layout<mesh, [["fsdp"], []]>> -> tensor<8x8xf32, #graph.layout<mesh, [[], []]>> loc("w.whole")
    %plain = graph.reshape %whole : tensor<8x8xf32, #graph.layout<mesh, [[], []]>> -> tensor<8x8xf32>
    %y:2 = graph.call @f.forward(%plain) instance "l.0" : (tensor<8x8xf32>) -> (tensor<64xf32>, tensor<8x8xf32>)
    %g = graph.load @w.grad : tensor<8x8xf32, #graph.layout<mesh, [[], []], partial = {fsdp : sum}>>
    %sum = graph.all_reduce sum %g over ["fsdp"] : tensor<8x8xf32, #graph.layout<mesh, [[], []], partial = {fsdp : sum}>> -> tensor<8x8xf32, #graph.layout<mesh, [[], []]>>
    %s = graph.reshape %sum : tensor<8x8xf32, #graph.layout<mesh, [[], []]>> -> tensor<8x8xf32>
    %z:2 = graph.call @kinds.forward(%s) instance "l.1" : (tensor<8x8xf32>) -> (tensor<8x8xf32>, tensor<4x8xf32>)
    %r = graph.all_reduce sum %z#0 over ["tp"] : tensor<8x8xf32> -> tensor<8x8xf32>
    %u:2 = graph.call @f.forward(%r) instance "l.1" : (tensor<8x8xf32>) -> (tensor<64xf32>, tensor<8x8xf32>)
    return %u#1 : tensor<8x8xf32>
  }
}
