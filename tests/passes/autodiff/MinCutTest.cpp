//===- MinCutTest.cpp - Minimum cuts against all cuts ---------------------===//

#include "passes/autodiff/MinCut.h"
#include "runtime/init/Philox.h"

#include "gtest/gtest.h"

#include <vector>

using namespace primus;

namespace {

struct Edge {
  unsigned from, to;
  int64_t capacity;
};

/// Nodes 0 (source), 1 (sink) and `inner` more, with random edges.
std::vector<Edge> randomEdges(unsigned seed, unsigned inner) {
  std::vector<Edge> edges;
  for (unsigned from = 0; from < inner + 2; ++from)
    for (unsigned to = 1; to < inner + 2; ++to) {
      auto random = runtime::philox(seed, from, to);
      if (from != to && from != FlowNetwork::sink && random[0] % 3 == 0)
        edges.push_back({from, to, static_cast<int64_t>(random[1] % 4)});
    }
  return edges;
}

/// Capacity of the cut whose sink side is given as bits.
int64_t cutCapacity(const std::vector<Edge> &edges, unsigned sinkSide) {
  int64_t capacity = 0;
  for (const Edge &edge : edges)
    if (!(sinkSide >> edge.from & 1) && (sinkSide >> edge.to & 1))
      capacity += edge.capacity;
  return capacity;
}

TEST(MinCut, IsTheLeastAndNearestToTheSink) {
  constexpr unsigned inner = 6;
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::vector<Edge> edges = randomEdges(seed, inner);
    FlowNetwork network;
    for (unsigned node = 0; node < inner; ++node)
      EXPECT_EQ(network.addNode(), node + 2);
    for (const Edge &edge : edges)
      network.addEdge(edge.from, edge.to, edge.capacity);
    llvm::SmallVector<bool> cut = network.cutNearestToSink();
    unsigned sinkSide = 0;
    for (unsigned node = 0; node < inner + 2; ++node)
      sinkSide |= cut[node] << node;
    ASSERT_FALSE(cut[FlowNetwork::source]);
    ASSERT_TRUE(cut[FlowNetwork::sink]);

    for (unsigned other = 0; other < 1u << inner; ++other) {
      unsigned otherSinkSide = other << 2 | 1u << FlowNetwork::sink;
      EXPECT_LE(cutCapacity(edges, sinkSide), cutCapacity(edges, otherSinkSide)) << seed;
      // Every other least cut has all of this one's sink side on its own.
      if (cutCapacity(edges, otherSinkSide) == cutCapacity(edges, sinkSide)) {
        EXPECT_EQ(sinkSide & ~otherSinkSide, 0u) << seed;
      }
    }
  }
}

} // namespace
