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

def Graph_Tensor : StaticShapeTensorOf<[AnyFloat, AnySignlessInteger]>;
def Graph_FloatTensor : StaticShapeTensorOf<[AnyFloat]>;
def Graph_IntTensor : StaticShapeTensorOf<[AnySignlessInteger]>;

#endif // PRIMUS_IR_GRAPH_BASE
