// RUN: primus-opt %s --split-input-file --verify-phase=phase=placed --verify-diagnostics

#rows = #graph.layout<mesh, [["dp"], []]>
#parts = #graph.layout<mesh, [["dp"], [], ["tp"]]>
#whole = #graph.layout<mesh, [[], []]>
#sums = #graph.layout<mesh, [[], []], partial = {tp : sum}>
#terms = #graph.layout<mesh, [["tp"], [], []]>
module attributes {graph.placed, graph.mesh = #graph.mesh<"dp" = 2, "tp" = 4>} {
  // The same elements in other dimensions; a whole value as a sum; the terms of a sum side by side.
  func.func private @f(%x: tensor<4x6xf32, #rows>, %y: tensor<4x6xf32, #whole>, %z: tensor<4x6xf32, #sums>)
      -> (tensor<2x2x6xf32, #graph.layout<mesh, [["dp"], [], []]>>, tensor<4x6xf32, #sums>, tensor<1x4x6xf32, #terms>) attributes {graph.layer = {layer = "f", part = "forward"}} {
    %0 = graph.reshape %x : tensor<4x6xf32, #rows> -> tensor<2x2x6xf32, #graph.layout<mesh, [["dp"], [], []]>>
    %four = graph.constant dense<4.0> : tensor<4x6xf32, #whole>
    %1 = graph.div %y, %four : tensor<4x6xf32, #whole>
    %2 = graph.reshape %1 : tensor<4x6xf32, #whole> -> tensor<4x6xf32, #sums>
    %3 = graph.reshape %z : tensor<4x6xf32, #sums> -> tensor<1x4x6xf32, #terms>
    return %0, %2, %3 : tensor<2x2x6xf32, #graph.layout<mesh, [["dp"], [], []]>>, tensor<4x6xf32, #sums>, tensor<1x4x6xf32, #terms>
  }
}

// -----

#rows = #graph.layout<mesh, [["dp"], []]>
module attributes {graph.placed, graph.mesh = #graph.mesh<"dp" = 2, "tp" = 4>} {
  func.func private @f(%x: tensor<4x6xf32, #rows>) -> tensor<6x4xf32, #graph.layout<mesh, [[], ["dp"]]>> attributes {graph.layer = {layer = "f", part = "forward"}} {
    // expected-error @below {{gives a rank other elements than it has: its operand's layout is [dp, ()], its result's [(), dp]}}
    %0 = graph.reshape %x : tensor<4x6xf32, #rows> -> tensor<6x4xf32, #graph.layout<mesh, [[], ["dp"]]>>
    return %0 : tensor<6x4xf32, #graph.layout<mesh, [[], ["dp"]]>>
  }
}

// -----

// One axis in the place of another.
#rows = #graph.layout<mesh, [["dp"], []]>
#other = #graph.layout<mesh, [["tp"], []]>
module attributes {graph.placed, graph.mesh = #graph.mesh<"dp" = 2, "tp" = 2>} {
  func.func private @f(%x: tensor<4x6xf32, #rows>) -> tensor<4x6xf32, #other> attributes {graph.layer = {layer = "f", part = "forward"}} {
    // expected-error @below {{gives a rank other elements than it has: its operand's layout is [dp, ()], its result's [tp, ()]}}
    %0 = graph.reshape %x : tensor<4x6xf32, #rows> -> tensor<4x6xf32, #other>
    return %0 : tensor<4x6xf32, #other>
  }
}

// -----

#rows = #graph.layout<mesh, [["dp"], []]>
#whole = #graph.layout<mesh, [[], []]>
module attributes {graph.placed, graph.mesh = #graph.mesh<"dp" = 2, "tp" = 2>} {
  func.func private @f(%x: tensor<4x6xf32, #rows>) -> tensor<4x6xf32, #whole> attributes {graph.layer = {layer = "f", part = "forward"}} {
    // expected-error @below {{takes one rank's part for a value that ranks share over dp}}
    %0 = graph.reshape %x : tensor<4x6xf32, #rows> -> tensor<4x6xf32, #whole>
    // expected-note @below {{read as the whole value here}}
    %1 = graph.exp %0 : tensor<4x6xf32, #whole>
    return %1 : tensor<4x6xf32, #whole>
  }
}

// -----

#sums = #graph.layout<mesh, [[], []], partial = {tp : sum}>
#columns = #graph.layout<mesh, [[], ["tp"]]>
module attributes {graph.placed, graph.mesh = #graph.mesh<"dp" = 2, "tp" = 2>} {
  func.func private @f(%x: tensor<4x6xf32, #sums>) -> tensor<4x6xf32, #columns> attributes {graph.layer = {layer = "f", part = "forward"}} {
    // expected-error @below {{drops the sum over tp that its operand still needs}}
    %0 = graph.reshape %x : tensor<4x6xf32, #sums> -> tensor<4x6xf32, #columns>
    return %0 : tensor<4x6xf32, #columns>
  }
}

// -----

// Divided by the number of some ranks, but a sum over others.
#whole = #graph.layout<mesh, [[], []]>
#sums = #graph.layout<mesh, [[], []], partial = {tp : sum}>
module attributes {graph.placed, graph.mesh = #graph.mesh<"dp" = 2, "tp" = 4>} {
  func.func private @f(%x: tensor<4x6xf32, #whole>) -> tensor<4x6xf32, #sums> attributes {graph.layer = {layer = "f", part = "forward"}} {
    %two = graph.constant dense<2.0> : tensor<4x6xf32, #whole>
    %0 = graph.div %x, %two : tensor<4x6xf32, #whole>
    // expected-error @below {{makes a sum over tp of a value that was not divided by the number of their ranks}}
    %1 = graph.reshape %0 : tensor<4x6xf32, #whole> -> tensor<4x6xf32, #sums>
    return %1 : tensor<4x6xf32, #sums>
  }
}

// -----

// A division by a number may be one of a sum, but of the same on both sides.
#whole = #graph.layout<mesh, [[], []]>
#sums = #graph.layout<mesh, [[], []], partial = {tp : sum}>
module attributes {graph.placed, graph.mesh = #graph.mesh<"dp" = 2, "tp" = 4>} {
  func.func private @f(%x: tensor<4x6xf32, #sums>, %y: tensor<4x6xf32, #sums>) -> tensor<4x6xf32, #sums> attributes {graph.layer = {layer = "f", part = "forward"}} {
    %two = graph.constant dense<2.0> : tensor<4x6xf32, #sums>
    %0 = graph.div %x, %two : tensor<4x6xf32, #sums>
    // expected-error @below {{operand 0 is partial over tp, but the op is not linear in it}}
    %1 = graph.div %0, %y : tensor<4x6xf32, #sums>
    return %1 : tensor<4x6xf32, #sums>
  }
}

// -----

// The parts of a loss whose vocabulary is split have to be combined.
#rows = #graph.layout<mesh, [["tp"], []]>
#whole = #graph.layout<mesh, [[], []]>
#tokens = #graph.layout<mesh, [[]]>
#scalar = #graph.layout<mesh, []>
module attributes {graph.placed, graph.mesh = #graph.mesh<"dp" = 2, "tp" = 4>} {
  func.func private @f(%x: tensor<8x6xf32, #whole>, %w: tensor<4x6xf32, #rows>, %l: tensor<8xi32, #tokens>, %o: tensor<i32, #scalar>) -> tensor<8xf32, #tokens> attributes {graph.layer = {layer = "f", part = "forward"}} {
    // expected-error @below {{result 0 is partial over nothing by its type, but over tp by its operands}}
    %lse, %target = graph.cross_entropy_part %x, %w, %l, %o vocabulary 16 : (tensor<8x6xf32, #whole>, tensor<4x6xf32, #rows>, tensor<8xi32, #tokens>, tensor<i32, #scalar>) -> (tensor<8xf32, #tokens>, tensor<8xf32, #tokens>)
    return %lse : tensor<8xf32, #tokens>
  }
}

// -----

// A step of ring attention: tokens over cp, one rank's keys in the place of all.
#split = #graph.layout<mesh, [[], ["cp"], [], []]>
#whole = #graph.layout<mesh, [[], [], [], []]>
#rows = #graph.layout<mesh, [[], [], ["cp"]]>
#own = #graph.layout<mesh, [["cp"]]>
#all = #graph.layout<mesh, [[]]>
module attributes {graph.placed, graph.mesh = #graph.mesh<"cp" = 2, "tp" = 2>} {
  func.func private @f(%q: tensor<1x4x2x4xf32, #split>, %k: tensor<1x4x2x4xf32, #split>, %i: tensor<4xi32, #own>) -> tensor<1x4x2x4xf32, #split> attributes {graph.layer = {layer = "f", part = "forward"}} {
    %ks = graph.reshape %k : tensor<1x4x2x4xf32, #split> -> tensor<1x4x2x4xf32, #whole>
    %j = graph.reshape %i : tensor<4xi32, #own> -> tensor<4xi32, #all>
    %o, %lse = graph.attention %q, %ks, %ks positions %i, %j scale 0.5 {causal} : tensor<1x4x2x4xf32, #split>, tensor<1x4x2x4xf32, #whole>, tensor<4xi32, #own>, tensor<4xi32, #all> -> tensor<1x2x4xf32, #rows>
    return %o : tensor<1x4x2x4xf32, #split>
  }
}

// -----

// The step's queries would be split over other ranks than its keys.
#split = #graph.layout<mesh, [[], ["cp"], [], []]>
#other = #graph.layout<mesh, [[], ["tp"], [], []]>
#whole = #graph.layout<mesh, [[], [], [], []]>
#rows = #graph.layout<mesh, [[], [], ["tp"]]>
#own = #graph.layout<mesh, [["cp"]]>
#ownq = #graph.layout<mesh, [["tp"]]>
#all = #graph.layout<mesh, [[]]>
module attributes {graph.placed, graph.mesh = #graph.mesh<"cp" = 2, "tp" = 2>} {
  func.func private @f(%q: tensor<1x4x2x4xf32, #other>, %k: tensor<1x4x2x4xf32, #split>, %i: tensor<4xi32, #own>, %iq: tensor<4xi32, #ownq>) -> tensor<1x4x2x4xf32, #other> attributes {graph.layer = {layer = "f", part = "forward"}} {
    // expected-error @below {{takes one rank's part for a value that ranks share over cp}}
    %ks = graph.reshape %k : tensor<1x4x2x4xf32, #split> -> tensor<1x4x2x4xf32, #whole>
    %j = graph.reshape %i : tensor<4xi32, #own> -> tensor<4xi32, #all>
    // expected-note @below {{read as the whole value here}}
    %o, %lse = graph.attention %q, %ks, %ks positions %iq, %j scale 0.5 {causal} : tensor<1x4x2x4xf32, #other>, tensor<1x4x2x4xf32, #whole>, tensor<4xi32, #ownq>, tensor<4xi32, #all> -> tensor<1x2x4xf32, #rows>
    return %o : tensor<1x4x2x4xf32, #other>
  }
}

// -----

// A step whose log-sum-exp is laid out over other heads than its output.
#split = #graph.layout<mesh, [[], ["cp"], ["tp"], []]>
#whole = #graph.layout<mesh, [[], [], ["tp"], []]>
#rows = #graph.layout<mesh, [[], [], ["cp"]]>
#own = #graph.layout<mesh, [["cp"]]>
#all = #graph.layout<mesh, [[]]>
module attributes {graph.placed, graph.mesh = #graph.mesh<"cp" = 2, "tp" = 2>} {
  func.func private @f(%q: tensor<1x4x2x4xf32, #split>, %k: tensor<1x4x2x4xf32, #split>, %i: tensor<4xi32, #own>) -> tensor<1x4x2x4xf32, #split> attributes {graph.layer = {layer = "f", part = "forward"}} {
    %next = graph.permute %k over ["cp"] shift 1 : tensor<1x4x2x4xf32, #split>
    %ks = graph.reshape %next : tensor<1x4x2x4xf32, #split> -> tensor<1x4x2x4xf32, #whole>
    %j = graph.reshape %i : tensor<4xi32, #own> -> tensor<4xi32, #all>
    // expected-error @below {{result 1 is split along dimension 1 over (), but another value with that factor over tp}}
    %o, %lse = graph.attention %q, %ks, %ks positions %i, %j scale 0.5 {causal} : tensor<1x4x2x4xf32, #split>, tensor<1x4x2x4xf32, #whole>, tensor<4xi32, #own>, tensor<4xi32, #all> -> tensor<1x2x4xf32, #rows>
    return %o : tensor<1x4x2x4xf32, #split>
  }
}
