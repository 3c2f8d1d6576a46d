// RUN: primus-opt %s --graph-ring-attention --split-input-file | FileCheck %s

#plan = {microbatches = 1 : i64, micro_batch_size = 1 : i64, sequence_length = 8 : i64, recompute = "none", recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.0, ring = true, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.1}
#split = #graph.layout<mesh, [[], ["cp"], [], []]>
#whole = #graph.layout<mesh, [[], [], [], []]>
#sums = #graph.layout<mesh, [[], [], [], []], partial = {cp : sum}>
#rows = #graph.layout<mesh, [[], [], ["cp"]]>
#own = #graph.layout<mesh, [["cp"]]>
#all = #graph.layout<mesh, [[]]>
module attributes {graph.placed, graph.plan = #plan, graph.mesh = #graph.mesh<"cp" = 2>} {
  // The next block is on its way before the attention to this one; the last step needs no further block. Outputs are
  // merged in f32 and rounded once.
  // CHECK-LABEL: func.func @forward
  // CHECK-SAME: (%[[Q:[^:]*]]: {{.*}}, %[[K:[^:]*]]: {{.*}}, %[[V:[^:]*]]: {{.*}}, %[[I:[^:]*]]: {{.*}})
  // CHECK-NOT: all_gather
  // CHECK: %[[K1:.*]] = graph.permute %[[K]] over ["cp"] shift 1
  // CHECK: %[[V1:.*]] = graph.permute %[[V]] over ["cp"] shift 1
  // CHECK: %[[J1:.*]] = graph.permute %[[I]] over ["cp"] shift 1
  // CHECK: %[[KA:.*]] = graph.reshape %[[K]] : tensor<1x4x2x4xbf16, #layout_x_cp_x_x> -> tensor<1x4x2x4xbf16, #layout_x_x_x_x>
  // CHECK: %[[VA:.*]] = graph.reshape %[[V]]
  // CHECK: %[[IA:.*]] = graph.reshape %[[I]]
  // CHECK: %[[O0:.*]], %[[L0:.*]] = graph.attention %[[Q]], %[[KA]], %[[VA]] positions %[[I]], %[[IA]] scale 5.000000e-01 {causal}{{.*}} -> tensor<1x4x2x4xf32, #layout_x_cp_x_x>, tensor<1x2x4xf32
  // CHECK-NOT: graph.permute
  // CHECK: %[[KB:.*]] = graph.reshape %[[K1]]
  // CHECK: %[[VB:.*]] = graph.reshape %[[V1]]
  // CHECK: %[[JB:.*]] = graph.reshape %[[J1]]
  // CHECK: %[[O1:.*]], %[[L1:.*]] = graph.attention %[[Q]], %[[KB]], %[[VB]] positions %[[I]], %[[JB]] scale 5.000000e-01 {causal}{{.*}} -> tensor<1x4x2x4xf32, #layout_x_cp_x_x>, tensor<1x2x4xf32
  // CHECK-NOT: graph.convert
  // CHECK: graph.maximum %[[L0]], %[[L1]]
  // CHECK-NOT: graph.convert
  // CHECK: %[[OUT:.*]] = graph.convert %{{.*}} : tensor<1x4x2x4xf32, #layout_x_cp_x_x> -> tensor<1x4x2x4xbf16, #layout_x_cp_x_x>
  // CHECK: return %[[OUT]], %{{.*}} :
  func.func @forward(%q: tensor<1x4x2x4xbf16, #split>, %k: tensor<1x4x2x4xbf16, #split>, %v: tensor<1x4x2x4xbf16, #split>, %i: tensor<4xi32, #own>) -> (tensor<1x4x2x4xbf16, #split>, tensor<1x2x4xf32, #rows>) {
    %j = graph.all_gather %i over ["cp"] dim 0 : tensor<4xi32, #own> -> tensor<8xi32, #all>
    %ks = graph.all_gather %k over ["cp"] dim 1 : tensor<1x4x2x4xbf16, #split> -> tensor<1x8x2x4xbf16, #whole>
    %vs = graph.all_gather %v over ["cp"] dim 1 : tensor<1x4x2x4xbf16, #split> -> tensor<1x8x2x4xbf16, #whole>
    %o, %lse = graph.attention %q, %ks, %vs positions %i, %j scale 0.5 {causal} : tensor<1x4x2x4xbf16, #split>, tensor<1x8x2x4xbf16, #whole>, tensor<4xi32, #own>, tensor<8xi32, #all> -> tensor<1x2x4xf32, #rows>
    return %o, %lse : tensor<1x4x2x4xbf16, #split>, tensor<1x2x4xf32, #rows>
  }

  // CHECK-LABEL: func.func @backward
  // CHECK-NOT: all_gather
  // CHECK: graph.permute
  // CHECK: %[[DQ0:.*]], %[[DK0:.*]], %[[DV0:.*]] = graph.attention_grad {{.*}} -> tensor<1x4x2x4xf32, #layout_x_cp_x_x>, tensor<1x4x2x4xf32, #layout_x_x_x_x_sum-cp>
  // CHECK: %[[DK0B:.*]] = graph.reshape %[[DK0]] : tensor<1x4x2x4xf32, #layout_x_x_x_x_sum-cp> -> tensor<1x4x2x4xf32, #layout_x_cp_x_x>
  // CHECK: %[[DV0B:.*]] = graph.reshape %[[DV0]]
  // CHECK: %[[DK0M:.*]] = graph.permute %[[DK0B]] over ["cp"] shift 1
  // CHECK: %[[DV0M:.*]] = graph.permute %[[DV0B]] over ["cp"] shift 1
  // CHECK: %[[DQ1:.*]], %[[DK1:.*]], %[[DV1:.*]] = graph.attention_grad
  // CHECK: %[[DQ:.*]] = graph.add %[[DQ0]], %[[DQ1]]
  // CHECK: %[[DK1B:.*]] = graph.reshape %[[DK1]]
  // CHECK: %[[DK:.*]] = graph.add %[[DK0M]], %[[DK1B]]
  // CHECK: %[[DV1B:.*]] = graph.reshape %[[DV1]]
  // CHECK: %[[DV:.*]] = graph.add %[[DV0M]], %[[DV1B]]
  // CHECK: %[[DKM:.*]] = graph.permute %[[DK]] over ["cp"] shift 1
  // CHECK: graph.permute %[[DV]] over ["cp"] shift 1
  // CHECK: graph.convert %[[DQ]]
  // CHECK: graph.convert %[[DKM]]
  // CHECK-NOT: reduce_scatter
  func.func @backward(%do: tensor<1x4x2x4xbf16, #split>, %q: tensor<1x4x2x4xbf16, #split>, %k: tensor<1x4x2x4xbf16, #split>, %v: tensor<1x4x2x4xbf16, #split>, %o: tensor<1x4x2x4xbf16, #split>, %lse: tensor<1x2x4xf32, #rows>, %i: tensor<4xi32, #own>)
      -> (tensor<1x4x2x4xbf16, #split>, tensor<1x4x2x4xbf16, #split>, tensor<1x4x2x4xbf16, #split>) {
    %j = graph.all_gather %i over ["cp"] dim 0 : tensor<4xi32, #own> -> tensor<8xi32, #all>
    %ks = graph.all_gather %k over ["cp"] dim 1 : tensor<1x4x2x4xbf16, #split> -> tensor<1x8x2x4xbf16, #whole>
    %vs = graph.all_gather %v over ["cp"] dim 1 : tensor<1x4x2x4xbf16, #split> -> tensor<1x8x2x4xbf16, #whole>
    %dq, %dks, %dvs = graph.attention_grad %do, %q, %ks, %vs, %o, %lse positions %i, %j scale 0.5 {causal} : tensor<1x4x2x4xbf16, #split>, tensor<1x8x2x4xbf16, #whole>, tensor<1x2x4xf32, #rows>, tensor<4xi32, #own>, tensor<8xi32, #all> -> tensor<1x4x2x4xbf16, #split>, tensor<1x8x2x4xbf16, #sums>
    %dk = graph.reduce_scatter sum %dks over ["cp"] dim 1 : tensor<1x8x2x4xbf16, #sums> -> tensor<1x4x2x4xbf16, #split>
    %dv = graph.reduce_scatter sum %dvs over ["cp"] dim 1 : tensor<1x8x2x4xbf16, #sums> -> tensor<1x4x2x4xbf16, #split>
    return %dq, %dk, %dv : tensor<1x4x2x4xbf16, #split>, tensor<1x4x2x4xbf16, #split>, tensor<1x4x2x4xbf16, #split>
  }

  // Keys that every rank has anyway stay where they are; a gather that others read, too, stays.
  // CHECK-LABEL: func.func @others
  // CHECK: %[[J:.*]] = graph.all_gather %{{.*}} over ["cp"] dim 0
  // CHECK: graph.attention %{{.*}}, %{{.*}}, %{{.*}} positions %{{.*}}, %[[J]]
  // CHECK-NOT: graph.attention
  // CHECK: return
  func.func @others(%q: tensor<1x4x2x4xbf16, #split>, %k: tensor<1x8x2x4xbf16, #whole>, %i: tensor<4xi32, #own>) -> tensor<1x4x2x4xbf16, #split> {
    %j = graph.all_gather %i over ["cp"] dim 0 : tensor<4xi32, #own> -> tensor<8xi32, #all>
    %o, %lse = graph.attention %q, %k, %k positions %i, %j scale 0.5 {causal} : tensor<1x4x2x4xbf16, #split>, tensor<1x8x2x4xbf16, #whole>, tensor<4xi32, #own>, tensor<8xi32, #all> -> tensor<1x2x4xf32, #rows>
    return %o : tensor<1x4x2x4xbf16, #split>
  }
}

// -----

// Without `ring` in the plan keys are gathered.
#plan = {microbatches = 1 : i64, micro_batch_size = 1 : i64, sequence_length = 8 : i64, recompute = "none", recompute_layers = 0 : i64, per_microbatch_mean = false, clip = 0.0, beta1 = 0.9, beta2 = 0.95, epsilon = 1.0e-08, weight_decay = 0.1}
module attributes {graph.placed, graph.plan = #plan, graph.mesh = #graph.mesh<"cp" = 2>} {
  // CHECK-LABEL: func.func @gathered
  // CHECK-COUNT-2: graph.all_gather
  // CHECK-NOT: graph.permute
  func.func @gathered(%q: tensor<1x4x2x4xf32>, %k: tensor<1x4x2x4xf32>, %i: tensor<4xi32>) -> tensor<1x4x2x4xf32> {
    %j = graph.all_gather %i over ["cp"] dim 0 : tensor<4xi32> -> tensor<8xi32>
    %ks = graph.all_gather %k over ["cp"] dim 1 : tensor<1x4x2x4xf32> -> tensor<1x8x2x4xf32>
    %o, %lse = graph.attention %q, %ks, %ks positions %i, %j scale 0.5 {causal} : tensor<1x4x2x4xf32>, tensor<1x8x2x4xf32>, tensor<4xi32>, tensor<8xi32> -> tensor<1x2x4xf32>
    return %o : tensor<1x4x2x4xf32>
  }
}
