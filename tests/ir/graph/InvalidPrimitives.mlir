// RUN: primus-opt %s --verify-diagnostics --split-input-file

func.func @dynamic(%x: tensor<?x8xf32>) {
  // expected-error @+1 {{must be statically shaped tensor}}
  %0 = graph.exp %x : tensor<?x8xf32>
  return
}

// -----

func.func @layouts_of_operands(%x: tensor<4xf32>, %y: tensor<4xf32, #graph.layout<mesh, [["dp"]]>>) {
  // expected-error @+1 {{all of {lhs, rhs, result} have same type}}
  %0 = "graph.add"(%x, %y) : (tensor<4xf32>, tensor<4xf32, #graph.layout<mesh, [["dp"]]>>) -> tensor<4xf32>
  return
}

// -----

func.func @compare(%x: tensor<4xf32>) {
  // expected-error @+1 {{result must have element type i1, but is 'tensor<4xf32>'}}
  %0 = graph.compare lt %x, %x : tensor<4xf32> -> tensor<4xf32>
  return
}

// -----

func.func @select(%m: tensor<4xi32>, %x: tensor<4xf32>) {
  // expected-error @+1 {{mask must have element type i1, but is 'tensor<4xi32>'}}
  %0 = graph.select %m, %x, %x : tensor<4xi32>, tensor<4xf32>
  return
}

// -----

func.func @convert_C1(%x: tensor<4xf32>) {
  // expected-error @+1 {{does not convert floats to integers: 'f32' to 'i32'}}
  %0 = graph.convert %x : tensor<4xf32> -> tensor<4xi32>
  return
}

// -----

func.func @convert_shape(%x: tensor<4xf32>) {
  // expected-error @+1 {{all non-scalar operands/results must have the same shape and base type}}
  %0 = graph.convert %x : tensor<4xf32> -> tensor<5xbf16>
  return
}

// -----

func.func @iota() {
  // expected-error @+1 {{dim 2 is not a dimension of the result, which has 2}}
  %0 = graph.iota dim 2 : tensor<4x8xi32>
  return
}

// -----

func.func @broadcast_C1(%x: tensor<8xf32>) {
  // expected-error @+1 {{dims needs one entry per operand dimension: 1, but has 2}}
  %0 = graph.broadcast %x dims [0, 1] : tensor<8xf32> -> tensor<4x8xf32>
  return
}

// -----

func.func @broadcast_C2(%x: tensor<7xf32>) {
  // expected-error @+1 {{operand dimension 0 of size 7 cannot become result dimension 1 of size 8}}
  %0 = graph.broadcast %x dims [1] : tensor<7xf32> -> tensor<4x8xf32>
  return
}

// -----

func.func @broadcast_range(%x: tensor<8xf32>) {
  // expected-error @+1 {{dims[0] = 2 is not a dimension of the result, which has 2}}
  %0 = graph.broadcast %x dims [2] : tensor<8xf32> -> tensor<4x8xf32>
  return
}

// -----

func.func @broadcast_order(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{dims must ascend}}
  %0 = graph.broadcast %x dims [1, 0] : tensor<4x8xf32> -> tensor<8x4xf32>
  return
}

// -----

func.func @broadcast_type(%x: tensor<8xf32>) {
  // expected-error @+1 {{must keep the element type, but turns 'f32' into 'bf16'}}
  %0 = graph.broadcast %x dims [1] : tensor<8xf32> -> tensor<4x8xbf16>
  return
}

// -----

func.func @reshape_C1(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{must keep the number of elements, but turns 32 into 30}}
  %0 = graph.reshape %x : tensor<4x8xf32> -> tensor<30xf32>
  return
}

// -----

func.func @transpose_C1(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{perm must name each operand dimension once; entry 1 is 0}}
  %0 = graph.transpose %x perm [0, 0] : tensor<4x8xf32> -> tensor<4x4xf32>
  return
}

// -----

func.func @transpose_C2(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{result dimension 0 must have size 8, but has 4}}
  %0 = graph.transpose %x perm [1, 0] : tensor<4x8xf32> -> tensor<4x8xf32>
  return
}

// -----

func.func @transpose_rank(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{perm and result need as many dimensions as the operand: 2}}
  %0 = graph.transpose %x perm [1] : tensor<4x8xf32> -> tensor<8xf32>
  return
}

// -----

func.func @slice_C1(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{box [6, 9) of dimension 1 lies outside [0, 8)}}
  %0 = graph.slice %x at [0, 6] : tensor<4x8xf32> -> tensor<4x3xf32>
  return
}

// -----

func.func @slice_rank(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{operand, result and position must have equal ranks, but have 2, 2 and 1}}
  %0 = graph.slice %x at [0] : tensor<4x8xf32> -> tensor<4x3xf32>
  return
}

// -----

func.func @pad_C1(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{box [-1, 7) of dimension 1 lies outside [0, 9)}}
  %0 = graph.pad %x at [0, -1] : tensor<4x8xf32> -> tensor<4x9xf32>
  return
}

// -----

func.func @concat_C1() {
  // expected-error @+1 {{needs at least one input}}
  %0 = "graph.concat"() <{dim = 0 : i64}> : () -> tensor<4xf32>
  return
}

// -----

func.func @concat_C2(%x: tensor<4x2xf32>, %y: tensor<5x6xf32>) {
  // expected-error @+1 {{input 1 of type 'tensor<5x6xf32>' must agree with the result 'tensor<4x8xf32>' but for dimension 1}}
  %0 = graph.concat %x, %y dim 1 : (tensor<4x2xf32>, tensor<5x6xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @concat_C3(%x: tensor<4x2xf32>) {
  // expected-error @+1 {{inputs have 4 elements along dimension 1, but the result has 8}}
  %0 = graph.concat %x, %x dim 1 : (tensor<4x2xf32>, tensor<4x2xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @concat_dim(%x: tensor<4x2xf32>) {
  // expected-error @+1 {{dim 2 is not a dimension of the result, which has 2}}
  %0 = graph.concat %x, %x dim 2 : (tensor<4x2xf32>, tensor<4x2xf32>) -> tensor<4x4xf32>
  return
}

// -----

func.func @reduce_C1(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{dims must ascend}}
  %0 = graph.reduce sum %x dims [1, 0] : tensor<4x8xf32> -> tensor<f32>
  return
}

// -----

func.func @reduce_C1_range(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{dim 2 is not a dimension of the operand, which has 2}}
  %0 = graph.reduce sum %x dims [2] : tensor<4x8xf32> -> tensor<4x8xf32>
  return
}

// -----

func.func @reduce_C2(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{result 'tensor<8xf32>' must have shape [4]: the operand's without the reduced dimensions}}
  %0 = graph.reduce sum %x dims [1] : tensor<4x8xf32> -> tensor<8xf32>
  return
}

// -----

func.func @reduce_type(%x: tensor<4x8xi32>) {
  // expected-error @+1 {{operand and result must both be floats or both integers}}
  %0 = graph.reduce sum %x dims [1] : tensor<4x8xi32> -> tensor<4xf32>
  return
}

// -----

func.func @matmul_form(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{spec "mk,nk" must have the form "lhs,rhs->result"}}
  %0 = graph.matmul "mk,nk" %x, %x : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x4xf32>
  return
}

// -----

func.func @matmul_C1(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{lhs spec "bmk" must have one letter per dimension, which are 2}}
  %0 = graph.matmul "bmk,nk->mn" %x, %x : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x4xf32>
  return
}

// -----

func.func @matmul_C2(%x: tensor<4x8xf32>, %y: tensor<4x7xf32>) {
  // expected-error @+1 {{letter 'k' has size 7 in the rhs, but 8 before}}
  %0 = graph.matmul "mk,nk->mn" %x, %y : (tensor<4x8xf32>, tensor<4x7xf32>) -> tensor<4x4xf32>
  return
}

// -----

func.func @matmul_C2_result(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{letter 'n' has size 5 in the result, but 4 before}}
  %0 = graph.matmul "mk,nk->mn" %x, %x : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x5xf32>
  return
}

// -----

func.func @matmul_C3(%x: tensor<4x4xf32>) {
  // expected-error @+1 {{letter 'm' appears twice in the lhs spec}}
  %0 = graph.matmul "mm,nm->mn" %x, %x : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  return
}

// -----

func.func @matmul_C3_result(%x: tensor<4x4xf32>) {
  // expected-error @+1 {{result letter 'q' is in neither operand}}
  %0 = graph.matmul "mk,nk->mq" %x, %x : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  return
}

// -----

func.func @matmul_C3_letters(%x: tensor<4x4xf32>) {
  // expected-error @+1 {{lhs spec "m1" may only have letters}}
  %0 = graph.matmul "m1,n1->mn" %x, %x : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  return
}

// -----

func.func @matmul_C4(%x: tensor<4x4xf32>) {
  // expected-error @+1 {{letter 'n' is in one operand only, and must therefore be in the result}}
  %0 = graph.matmul "mk,nk->m" %x, %x : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @gather_C1(%t: tensor<97x8xf32>, %i: tensor<2x4xi32>) {
  // expected-error @+1 {{rows of type 'tensor<2x8xf32>' must have shape [2, 4, 8]: the indices' and then a row's of the table 'tensor<97x8xf32>'}}
  %0 = graph.gather %t, %i : (tensor<97x8xf32>, tensor<2x4xi32>) -> tensor<2x8xf32>
  return
}

// -----

func.func @gather_type(%t: tensor<97x8xf32>, %i: tensor<4xi32>) {
  // expected-error @+1 {{result must have the table's element type}}
  %0 = graph.gather %t, %i : (tensor<97x8xf32>, tensor<4xi32>) -> tensor<4x8xbf16>
  return
}

// -----

func.func @gather_scalar(%t: tensor<f32>, %i: tensor<4xi32>) {
  // expected-error @+1 {{table must have at least one dimension}}
  %0 = graph.gather %t, %i : (tensor<f32>, tensor<4xi32>) -> tensor<4xf32>
  return
}

// -----

func.func @scatter_C1(%i: tensor<2x4xi32>, %u: tensor<2x4x7xf32>) {
  // expected-error @+1 {{rows of type 'tensor<2x4x7xf32>' must have shape [2, 4, 8]}}
  %0 = graph.scatter %i, %u : (tensor<2x4xi32>, tensor<2x4x7xf32>) -> tensor<97x8xf32>
  return
}

// -----

func.func @scatter_type(%i: tensor<4xi32>, %u: tensor<4x8xi32>) {
  // expected-error @+1 {{updates and result must both be floats or both integers}}
  %0 = graph.scatter %i, %u : (tensor<4xi32>, tensor<4x8xi32>) -> tensor<97x8xf32>
  return
}
