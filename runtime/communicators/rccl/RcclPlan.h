//===- RcclPlan.h - A collective as calls of RCCL and copies --------------===//

#ifndef PRIMUS_RUNTIME_COMMUNICATORS_RCCL_RCCLPLAN_H
#define PRIMUS_RUNTIME_COMMUNICATORS_RCCL_RCCLPLAN_H

#include "runtime/communicators/Communicator.h"

namespace primus::runtime::rccl {

/// Bytes of a tensor, or of the scratch memory (whose address is known later).
struct Place {
  std::byte *address = nullptr; ///< null: in the scratch memory
  int64_t offset = 0;

  std::byte *resolve(std::byte *scratch) const { return (address ? address : scratch) + offset; }
};

/// Runs of bytes from one place to another on the same GPU.
struct Move {
  Place source, target;
  Transfer transfer;
};

/// One call of RCCL: of the whole group, or with one member of it.
struct Call {
  enum class Kind : uint8_t { AllReduce, ReduceScatter, AllGather, Send, Receive };

  Kind kind;
  Place source, target;
  int64_t bytes = 0; ///< the operand that the call counts: of ReduceScatter the target, of all others the source
  int peer = 0;      ///< Send, Receive: number in the group
};

/// What a collective is on a rank: moves that gather what lies apart, calls that belong together, moves that spread what
/// has come.
struct Plan {
  std::vector<Move> before;
  std::vector<Call> calls;
  std::vector<Move> after;
  int64_t scratchBytes = 0;
};

/// RCCL takes and gives bytes that lie together; the collectives of tensors along any but their first dimension do not.
Plan makePlan(const CollectiveDescription &collective);

} // namespace primus::runtime::rccl

#endif // PRIMUS_RUNTIME_COMMUNICATORS_RCCL_RCCLPLAN_H
