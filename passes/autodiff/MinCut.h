//===- MinCut.h - Minimum cut of a small flow network ------------*- C++ -*-===//

#pragma once

#include "llvm/ADT/SmallVector.h"

#include <cstdint>

namespace primus {

/// A directed network with capacities, between a source and a sink.
class FlowNetwork {
public:
  static constexpr unsigned source = 0, sink = 1;
  /// Capacity of an edge that no cut may contain.
  static constexpr int64_t unlimited = INT64_MAX / 4;

  FlowNetwork() : edgesOf(2) {}

  unsigned addNode();
  void addEdge(unsigned from, unsigned to, int64_t capacity);

  /// Of all cuts of least capacity, the one nearest to the sink: entry n says whether node n is on the sink's side.
  /// There must be a cut without unlimited edges.
  llvm::SmallVector<bool> cutNearestToSink();

private:
  /// Edge i and its reverse i ^ 1 are neighbours.
  struct Edge {
    unsigned to;
    int64_t capacity;
  };

  /// Sends as much as one shortest path from source to sink allows; returns how much that is.
  int64_t augment();

  llvm::SmallVector<Edge> edges;
  llvm::SmallVector<llvm::SmallVector<unsigned, 4>> edgesOf;
};

} // namespace primus
