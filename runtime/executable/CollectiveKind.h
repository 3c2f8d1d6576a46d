//===- CollectiveKind.h - What ranks do together, and what it sends -------===//

#ifndef PRIMUS_RUNTIME_EXECUTABLE_COLLECTIVEKIND_H
#define PRIMUS_RUNTIME_EXECUTABLE_COLLECTIVEKIND_H

#include <cstdint>

namespace primus::runtime {

/// What the ranks of a group do together, or two of them; Executable.proto says what each means.
enum class CollectiveKind : uint8_t { AllReduce, ReduceScatter, AllGather, AllToAll, Permute, Block, Send, Receive };

/// Whether two ranks take part, each with a list of actions of its own.
constexpr bool isMessage(CollectiveKind kind) { return kind == CollectiveKind::Send || kind == CollectiveKind::Receive; }

/// Bytes that each of `ranks` ranks sends, if rings are used (Chan et al. 2007, doi 10.1002/cpe.1206). `sourceBytes`:
/// what a rank brings. An all_reduce is a reduce_scatter and an all_gather of blocks; `shift` is a permute's.
constexpr int64_t getSentBytes(CollectiveKind kind, int64_t sourceBytes, int64_t ranks, int64_t shift = 0) {
  switch (kind) {
  case CollectiveKind::AllReduce:
    return 2 * (sourceBytes - sourceBytes / ranks);
  case CollectiveKind::ReduceScatter:
  case CollectiveKind::AllToAll:
    return sourceBytes - sourceBytes / ranks;
  case CollectiveKind::AllGather:
    return sourceBytes * (ranks - 1);
  case CollectiveKind::Permute:
    return shift % ranks == 0 ? 0 : sourceBytes;
  case CollectiveKind::Send:
    return sourceBytes;
  case CollectiveKind::Block:
  case CollectiveKind::Receive:
    break;
  }
  return 0;
}

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_EXECUTABLE_COLLECTIVEKIND_H
