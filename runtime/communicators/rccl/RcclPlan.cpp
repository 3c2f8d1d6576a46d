//===- RcclPlan.cpp - A collective as calls of RCCL and copies ------------===//

#include "runtime/communicators/rccl/RcclPlan.h"

using namespace primus::runtime;
using namespace primus::runtime::rccl;

/// Whether one side of a transfer is one run of bytes.
static bool isTogether(const Transfer &transfer, const StridedBytes &side) {
  return (transfer.middle == 1 || side.middleStride == transfer.run) &&
         (transfer.outer == 1 || side.outerStride == transfer.middle * transfer.run);
}

/// A side whose bytes lie together from `offset` on.
static StridedBytes packAt(const Transfer &transfer, int64_t offset) {
  return {offset, transfer.middle * transfer.run, transfer.run};
}

namespace {

class Planner {
public:
  explicit Planner(const CollectiveDescription &collective) : collective(collective) {}

  Plan plan() {
    for (const CollectiveDescription::Part &part : collective.parts)
      add(part);
    return std::move(result);
  }

private:
  using Part = CollectiveDescription::Part;

  void add(const Part &part);
  void addReduceScatter(const Part &part);
  void addAllGather(const Part &part);
  void addExchange(const Part &part);
  /// Where the bytes are that `to` takes of this rank, together; moves them there first where they are not.
  Place gather(const Part &part, const Transfer &transfer);
  /// Where to put bytes that have come, together, so that they end up in the target.
  Place spread(const Part &part, const Transfer &transfer);
  void moveHere(const Part &part) {
    Transfer transfer = collective.getTransfer(part, collective.index, collective.index);
    result.before.push_back({{part.source}, {part.target}, transfer});
  }
  Place allocate(int64_t bytes) {
    constexpr int64_t alignment = 256;
    Place place = {nullptr, result.scratchBytes};
    result.scratchBytes += (bytes + alignment - 1) / alignment * alignment;
    return place;
  }
  void call(Call::Kind kind, const Place &source, const Place &target, int64_t bytes, int peer = 0) {
    if (bytes > 0)
      result.calls.push_back({kind, source, target, bytes, peer});
  }

  const CollectiveDescription &collective;
  Plan result;
};

} // namespace

Place Planner::gather(const Part &part, const Transfer &transfer) {
  if (isTogether(transfer, transfer.source))
    return {part.source, transfer.source.offset};
  Place place = allocate(transfer.getBytes());
  Transfer packing = transfer;
  packing.target = packAt(transfer, 0);
  result.before.push_back({{part.source}, place, packing});
  return place;
}

Place Planner::spread(const Part &part, const Transfer &transfer) {
  if (isTogether(transfer, transfer.target))
    return {part.target, transfer.target.offset};
  Place place = allocate(transfer.getBytes());
  Transfer unpacking = transfer;
  unpacking.source = packAt(transfer, 0);
  result.after.push_back({place, {part.target}, unpacking});
  return place;
}

void Planner::addReduceScatter(const Part &part) {
  Transfer block = collective.getTransfer(part, 0, 0);
  if (block.outer == 1)
    return call(Call::Kind::ReduceScatter, {part.source}, {part.target}, block.getBytes());
  Place packed = allocate(block.getBytes() * collective.getGroupSize());
  for (int to = 0; to < collective.getGroupSize(); ++to) {
    Transfer packing = collective.getTransfer(part, collective.index, to);
    packing.target = packAt(packing, to * block.getBytes());
    result.before.push_back({{part.source}, packed, packing});
  }
  call(Call::Kind::ReduceScatter, packed, {part.target}, block.getBytes());
}

void Planner::addAllGather(const Part &part) {
  Transfer block = collective.getTransfer(part, 0, collective.index);
  if (block.outer == 1)
    return call(Call::Kind::AllGather, {part.source}, {part.target}, block.getBytes());
  Place packed = allocate(block.getBytes() * collective.getGroupSize());
  for (int from = 0; from < collective.getGroupSize(); ++from) {
    Transfer unpacking = collective.getTransfer(part, from, collective.index);
    unpacking.source = packAt(unpacking, from * block.getBytes());
    result.after.push_back({packed, {part.target}, unpacking});
  }
  call(Call::Kind::AllGather, {part.source}, packed, block.getBytes());
}

void Planner::addExchange(const Part &part) {
  for (int peer = 0; peer < collective.getGroupSize(); ++peer) {
    if (peer == collective.index) {
      moveHere(part);
      continue;
    }
    Transfer sent = collective.getTransfer(part, collective.index, peer);
    Transfer received = collective.getTransfer(part, peer, collective.index);
    call(Call::Kind::Send, gather(part, sent), {}, sent.getBytes(), peer);
    call(Call::Kind::Receive, {}, spread(part, received), received.getBytes(), peer);
  }
}

void Planner::add(const Part &part) {
  int size = collective.getGroupSize(), own = collective.index;
  if (collective.isLocal())
    return moveHere(part);
  switch (collective.kind) {
  case CollectiveKind::AllReduce: {
    int64_t bytes = 0;
    for (int to = 0; to < size; ++to)
      bytes += collective.getTransfer(part, own, to).getBytes();
    return call(Call::Kind::AllReduce, {part.source}, {part.target}, bytes);
  }
  case CollectiveKind::ReduceScatter:
    return addReduceScatter(part);
  case CollectiveKind::AllGather:
    return addAllGather(part);
  case CollectiveKind::AllToAll:
    return addExchange(part);
  case CollectiveKind::Permute: {
    int from = collective.getPermuteSource();
    if (from == own)
      return moveHere(part);
    auto to = static_cast<int>(((own + collective.shift) % size + size) % size);
    int64_t bytes = collective.getTransfer(part, from, own).getBytes();
    call(Call::Kind::Send, {part.source}, {}, bytes, to);
    return call(Call::Kind::Receive, {}, {part.target}, bytes, from);
  }
  case CollectiveKind::Send:
    return call(Call::Kind::Send, {part.source}, {}, collective.getTransfer(part, 0, 1).getBytes(), 1);
  case CollectiveKind::Receive:
    return call(Call::Kind::Receive, {}, {part.target}, collective.getTransfer(part, 0, 1).getBytes(), 0);
  case CollectiveKind::Block:
    return;
  }
}

Plan primus::runtime::rccl::makePlan(const CollectiveDescription &collective) { return Planner(collective).plan(); }
