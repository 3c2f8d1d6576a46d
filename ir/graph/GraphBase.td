//===- GraphBase.td - What the ops of the graph dialect share -------------===//

#ifndef PRIMUS_IR_GRAPH_BASE
#define PRIMUS_IR_GRAPH_BASE

include "ir/graph/GraphDialect.td"
include "ir/graph/GraphInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/CallInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/IR/OpAsmInterface.td"

class Graph_Op<string mnemonic, list<Trait> traits = []>
    : Op<Graph_Dialect, mnemonic, traits>;

/// A pure op of tensors with a sharding rule and a cost. `shardable` names methods with a default that it replaces.
class Graph_PureOp<string mnemonic, list<Trait> traits = [], list<string> shardable = []>
    : Graph_Op<mnemonic, !listconcat([Pure,
        DeclareOpInterfaceMethods<Shardable, shardable>, DeclareOpInterfaceMethods<Costed>], traits)>;

/// A pure op that is defined by its decomposition.
class Graph_Composite<string mnemonic, list<Trait> traits = [], list<string> shardable = []>
    : Graph_PureOp<mnemonic, !listconcat([DeclareOpInterfaceMethods<Decomposable>], traits), shardable>;

/// Floats of 8 bits are no operands of arithmetic: what they stand for depends on a scale.
def Graph_Fp8 : AnyTypeOf<[F8E4M3FN, F8E5M2, F8E4M3FNUZ, F8E5M2FNUZ], "8-bit float">;
def Graph_Float : AnyTypeOf<[F16, BF16, F32, F64], "floating-point">;
def Graph_Tensor : StaticShapeTensorOf<[AnyFloat, AnySignlessInteger]>;
def Graph_NumberTensor : StaticShapeTensorOf<[Graph_Float, AnySignlessInteger]>;
def Graph_FloatTensor : StaticShapeTensorOf<[Graph_Float]>;
def Graph_StoredTensor : StaticShapeTensorOf<[Graph_Float, Graph_Fp8]>;
def Graph_Fp8Tensor : StaticShapeTensorOf<[Graph_Fp8]>;
/// Factors of quantised tensors: any f32, or powers of two.
def Graph_FactorTensor : StaticShapeTensorOf<[F32, F8E8M0FNU]>;
def Graph_IntTensor : StaticShapeTensorOf<[AnySignlessInteger]>;

#endif // PRIMUS_IR_GRAPH_BASE
