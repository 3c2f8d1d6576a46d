// RUN: primus-opt %s --verify-diagnostics --split-input-file

// expected-error @+1 {{mesh axis "dp" appears twice}}
module attributes {graph.mesh = #graph.mesh<"dp" = 4, "dp" = 2>} {}

// -----

// expected-error @+1 {{mesh axis "dp" has size 0; it must be at least 1}}
module attributes {graph.mesh = #graph.mesh<"dp" = 0>} {}

// -----

// expected-error @+1 {{layout has axis lists for 1 dimensions, but the tensor has 2}}
func.func private @f(tensor<4x8xf32, #graph.layout<mesh, [["dp"]]>>)

// -----

// expected-error @+1 {{mesh axis "dp" splits two dimensions, or one twice}}
func.func private @f(tensor<4x8xf32, #graph.layout<mesh, [["dp"], ["dp"]]>>)

// -----

// expected-error @+1 {{mesh axis "dp" is partial and appears elsewhere in the layout}}
func.func private @f(tensor<4x8xf32, #graph.layout<mesh, [["dp"], []], partial = {dp : sum}>>)

// -----

// expected-error @+1 {{layout axes must be strings, but one is 1}}
func.func private @f(tensor<4x8xf32, #graph.layout<mesh, [[1], []]>>)

// -----

// expected-error @+1 {{expected one of [sum, max]}}
func.func private @f(tensor<4x8xf32, #graph.layout<mesh, [[], []], partial = {dp : mean}>>)
