//===- MinCut.cpp - Minimum cut of a small flow network --------------------===//
//
// Edmonds and Karp 1972: shortest augmenting paths. Layers have some hundred values, so nothing faster is needed.
//
//===----------------------------------------------------------------------===//

#include "passes/autodiff/MinCut.h"

#include <algorithm>
#include <deque>

using namespace primus;
using llvm::SmallVector;

unsigned FlowNetwork::addNode() {
  edgesOf.emplace_back();
  return edgesOf.size() - 1;
}

void FlowNetwork::addEdge(unsigned from, unsigned to, int64_t capacity) {
  edgesOf[from].push_back(edges.size());
  edges.push_back({to, capacity});
  edgesOf[to].push_back(edges.size());
  edges.push_back({from, 0});
}

int64_t FlowNetwork::augment() {
  constexpr unsigned none = ~0u;
  SmallVector<unsigned> arrivedBy(edgesOf.size(), none);
  std::deque<unsigned> queue = {source};
  while (!queue.empty() && arrivedBy[sink] == none) {
    unsigned node = queue.front();
    queue.pop_front();
    for (unsigned edge : edgesOf[node]) {
      unsigned next = edges[edge].to;
      if (edges[edge].capacity == 0 || next == source || arrivedBy[next] != none)
        continue;
      arrivedBy[next] = edge;
      queue.push_back(next);
    }
  }
  if (arrivedBy[sink] == none)
    return 0;
  int64_t flow = unlimited;
  for (unsigned node = sink; node != source; node = edges[arrivedBy[node] ^ 1].to)
    flow = std::min(flow, edges[arrivedBy[node]].capacity);
  for (unsigned node = sink; node != source; node = edges[arrivedBy[node] ^ 1].to) {
    edges[arrivedBy[node]].capacity -= flow;
    edges[arrivedBy[node] ^ 1].capacity += flow;
  }
  return flow;
}

SmallVector<bool> FlowNetwork::cutNearestToSink() {
  while (augment() > 0)
    ;
  // The nodes from which capacity is left towards the sink.
  SmallVector<bool> onSinkSide(edgesOf.size(), false);
  std::deque<unsigned> queue = {sink};
  onSinkSide[sink] = true;
  while (!queue.empty()) {
    unsigned node = queue.front();
    queue.pop_front();
    for (unsigned edge : edgesOf[node]) {
      unsigned previous = edges[edge].to;
      if (onSinkSide[previous] || edges[edge ^ 1].capacity == 0)
        continue;
      onSinkSide[previous] = true;
      queue.push_back(previous);
    }
  }
  return onSinkSide;
}
