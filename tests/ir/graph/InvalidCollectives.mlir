// RUN: primus-opt %s --verify-diagnostics --split-input-file

func.func @reshard(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{must keep shape and element type, but turns 'tensor<4x8xf32>' into 'tensor<4x2xf32>'}}
  %0 = graph.reshard %x : tensor<4x8xf32> -> tensor<4x2xf32>
  return
}

// -----

func.func @no_axis(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{needs at least one mesh axis}}
  %0 = graph.all_reduce sum %x over [] : tensor<4x8xf32> -> tensor<4x8xf32>
  return
}

// -----

func.func @axis_twice(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{mesh axis "tp" appears twice}}
  %0 = graph.permute %x over ["tp", "tp"] shift 1 : tensor<4x8xf32>
  return
}

// -----

module attributes {graph.mesh = #graph.mesh<"cp" = 2, "tp" = 4>} {
func.func @unknown_axis(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{axes ["tp", "ep"] must be axes of the module's mesh #graph.mesh<"cp" = 2, "tp" = 4>}}
  %0 = graph.all_gather %x over ["tp", "ep"] dim 0 : tensor<4x8xf32> -> tensor<16x8xf32>
  return
}
}

// -----

module attributes {graph.mesh = #graph.mesh<"cp" = 2, "tp" = 4>} {
func.func @not_partial(%x: tensor<4x8xf32, #graph.layout<mesh, [[], []], partial = {tp : sum}>>) {
  // expected-error @+1 {{operand must be partial over ["tp"] with reduction max, but is}}
  %0 = graph.all_reduce max %x over ["tp"] : tensor<4x8xf32, #graph.layout<mesh, [[], []], partial = {tp : sum}>> -> tensor<4x8xf32, #graph.layout<mesh, [[], []]>>
  return
}
}

// -----

module attributes {graph.mesh = #graph.mesh<"cp" = 2, "tp" = 4>} {
func.func @partly_partial(%x: tensor<4x8xf32, #graph.layout<mesh, [[], []], partial = {tp : sum}>>) {
  // expected-error @+1 {{operand must be partial over ["cp", "tp"] with reduction sum, but is}}
  %0 = graph.reduce_scatter sum %x over ["cp", "tp"] dim 1 : tensor<4x8xf32, #graph.layout<mesh, [[], []], partial = {tp : sum}>> -> tensor<4x1xf32, #graph.layout<mesh, [[], ["cp", "tp"]]>>
  return
}
}

// -----

module attributes {graph.mesh = #graph.mesh<"cp" = 2, "tp" = 4>} {
func.func @still_partial(%x: tensor<4x8xf32, #graph.layout<mesh, [[], []], partial = {tp : sum}>>) {
  // expected-error @+1 {{over 4 ranks must have a result of type 'tensor<4x8xf32, #graph.layout<mesh, [[], []]>>', but it is}}
  %0 = graph.all_reduce sum %x over ["tp"] : tensor<4x8xf32, #graph.layout<mesh, [[], []], partial = {tp : sum}>> -> tensor<4x8xf32, #graph.layout<mesh, [[], []], partial = {tp : sum}>>
  return
}
}

// -----

module attributes {graph.mesh = #graph.mesh<"cp" = 2, "tp" = 4>} {
func.func @uneven(%x: tensor<6x8xf32>) {
  // expected-error @+1 {{dimension 0 of size 6 cannot be split into 4 equal blocks}}
  %0 = graph.reduce_scatter sum %x over ["tp"] dim 0 : tensor<6x8xf32> -> tensor<1x8xf32>
  return
}
}

// -----

module attributes {graph.mesh = #graph.mesh<"cp" = 2, "tp" = 4>} {
func.func @no_dim(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{dim 2 is not a dimension of the operand, which has 2}}
  %0 = graph.block %x over ["tp"] dim 2 : tensor<4x8xf32> -> tensor<4x2xf32>
  return
}
}

// -----

module attributes {graph.mesh = #graph.mesh<"cp" = 2, "tp" = 4>} {
func.func @gather_minor(%x: tensor<1x8xf32, #graph.layout<mesh, [["cp", "tp"], []]>>) {
  // expected-error @+1 {{axes ["cp"] must be the last that split dimension 0 of the operand}}
  %0 = graph.all_gather %x over ["cp"] dim 0 : tensor<1x8xf32, #graph.layout<mesh, [["cp", "tp"], []]>> -> tensor<2x8xf32, #graph.layout<mesh, [["tp"], []]>>
  return
}
}

// -----

module attributes {graph.mesh = #graph.mesh<"cp" = 2, "tp" = 4>} {
func.func @gather_shape(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{over 4 ranks must have a result of type 'tensor<4x32xf32>', but it is 'tensor<16x8xf32>'}}
  %0 = graph.all_gather %x over ["tp"] dim 1 : tensor<4x8xf32> -> tensor<16x8xf32>
  return
}
}

// -----

func.func @all_to_all(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{must move axes from one dimension to another, but both are 1}}
  %0 = graph.all_to_all %x over ["tp"] split 1 concat 1 : tensor<4x8xf32> -> tensor<4x8xf32>
  return
}

// -----

module attributes {graph.mesh = #graph.mesh<"cp" = 2, "tp" = 4>} {
func.func @block_layout(%x: tensor<4x8xf32, #graph.layout<mesh, [[], []]>>) {
  // expected-error @+1 {{over 4 ranks must have a result of type 'tensor<4x2xf32, #graph.layout<mesh, [[], ["tp"]]>>', but it is}}
  %0 = graph.block %x over ["tp"] dim 1 : tensor<4x8xf32, #graph.layout<mesh, [[], []]>> -> tensor<4x2xf32, #graph.layout<mesh, [[], []]>>
  return
}
}
