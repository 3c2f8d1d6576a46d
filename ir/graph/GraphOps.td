//===- GraphOps.td - All ops of the graph dialect -------------------------===//

#ifndef PRIMUS_IR_GRAPH_OPS
#define PRIMUS_IR_GRAPH_OPS

include "ir/graph/GraphPrimitives.td"
include "ir/graph/GraphComposites.td"
include "ir/graph/GraphQuantization.td"
include "ir/graph/GraphStructure.td"
include "ir/graph/GraphCollectives.td"
include "ir/graph/GraphStages.td"

#endif // PRIMUS_IR_GRAPH_OPS
