// RUN: primus-opt %s --verify-diagnostics --split-input-file

func.func @load() {
  // expected-error @+1 {{@w is not a graph.variable of this module}}
  %0 = graph.load @w : tensor<8xf32>
  return
}

// -----

// expected-note @+1 {{declared here}}
graph.variable @w : tensor<8xf32> role parameter init #graph.init<"zeros">
func.func @store(%x: tensor<9xf32>) {
  // expected-error @+1 {{variable @w has type 'tensor<8xf32>', but is used as 'tensor<9xf32>'}}
  graph.store %x, @w : tensor<9xf32>
  return
}

// -----

func.func @variable() {
  // expected-error @+1 {{expects parent op 'builtin.module'}}
  graph.variable @w : tensor<8xf32> role parameter init #graph.init<"zeros">
  return
}

// -----

func.func @call(%x: tensor<8xf32>) {
  // expected-error @+1 {{@layer is not a func.func of this module}}
  %0 = graph.call @layer(%x) instance "l" : (tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

// expected-note @+1 {{declared here}}
func.func private @layer(tensor<8xf32>) -> tensor<8xf32>
func.func @call_operand(%x: tensor<9xf32>) {
  // expected-error @+1 {{operand 0 differs from that of @layer, whose type is '(tensor<8xf32>) -> tensor<8xf32>'; it is 'tensor<9xf32>'}}
  %0 = graph.call @layer(%x) instance "l" : (tensor<9xf32>) -> tensor<8xf32>
  return
}

// -----

// expected-note @+1 {{declared here}}
func.func private @layer(tensor<8xf32>) -> tensor<8xf32>
func.func @call_result(%x: tensor<8xf32>) {
  // expected-error @+1 {{result 0 differs from that of @layer}}
  %0 = graph.call @layer(%x) instance "l" : (tensor<8xf32>) -> tensor<9xf32>
  return
}

// -----

// expected-note @+1 {{declared here}}
func.func private @layer(tensor<8xf32>) -> tensor<8xf32>
func.func @call_count(%x: tensor<8xf32>) {
  // expected-error @+1 {{has 2 operands and 1 results, unlike @layer}}
  %0 = graph.call @layer(%x, %x) instance "l" : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @schedule_scalar(%x: tensor<f32>) {
  // expected-error @+1 {{a schedule's input needs a leading dimension, but is 'tensor<f32>'}}
  graph.schedule microbatches 4 (%t = %x) : (tensor<f32>) -> () {
  }
  return
}

// -----

func.func @schedule_count(%x: tensor<3x8xf32>) {
  // expected-error @+1 {{input 0 must have 4 microbatches as its leading dimension, but is 'tensor<3x8xf32>'}}
  graph.schedule microbatches 4 (%t = %x) : (tensor<3x8xf32>) -> () {
  }
  return
}

// -----

func.func @schedule_none() {
  // expected-error @+1 {{needs at least one microbatch, but has 0}}
  graph.schedule microbatches 0 () : () -> () {
  }
  return
}

// -----

func.func @schedule_yield(%x: tensor<4x8xf32>) {
  %0 = graph.schedule microbatches 4 (%t = %x) : (tensor<4x8xf32>) -> tensor<f32> {
    // expected-error @+1 {{yields ('tensor<8xf32>'), but the results of graph.schedule are ('tensor<f32>')}}
    graph.yield %t : tensor<8xf32>
  }
  return
}

// -----

func.func @schedule_argument(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{body argument 0 must be 'tensor<8xf32>', but is 'tensor<4x8xf32>'}}
  "graph.schedule"(%x) <{microbatches = 4 : i64}> ({
  ^bb0(%t: tensor<4x8xf32>):
    graph.yield
  }) : (tensor<4x8xf32>) -> ()
  return
}

// -----

func.func @fusion_arguments(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{body arguments ('tensor<8xf32>') must have the inputs' types ('tensor<4x8xf32>')}}
  "graph.fusion"(%x) <{family = "rows"}> ({
  ^bb0(%t: tensor<8xf32>):
    graph.yield
  }) : (tensor<4x8xf32>) -> ()
  return
}

// -----

graph.variable @w : tensor<8xf32> role parameter init #graph.init<"zeros">
func.func @fusion_effects() -> tensor<8xf32> {
  %0 = graph.fusion "rows" () : () -> tensor<8xf32> {
    // expected-error @+1 {{has side effects and cannot be part of a fusion}}
    %w = graph.load @w : tensor<8xf32>
    graph.yield %w : tensor<8xf32>
  }
  return %0 : tensor<8xf32>
}

// -----

func.func @fusion_yield(%x: tensor<8xf32>) -> tensor<4xf32> {
  %0 = graph.fusion "rows" (%a = %x) : (tensor<8xf32>) -> tensor<4xf32> {
    // expected-error @+1 {{yields ('tensor<8xf32>'), but the results of graph.fusion are ('tensor<4xf32>')}}
    graph.yield %a : tensor<8xf32>
  }
  return %0 : tensor<4xf32>
}

// -----

// expected-error @+1 {{dims needs one entry per dimension: 2, but has 1}}
graph.variable @w : tensor<8x8xf32> role parameter init #graph.init<"zeros"> {dims = ["heads"]}
