//===- Collectives.cpp - Kinds and sizes of collectives -------------------===//

#include "runtime/executable/Collectives.h"

#include "runtime/executable/Types.h"

#include <array>
#include <fmt/format.h>

using namespace primus;
using namespace primus::runtime;

static constexpr std::array<std::string_view, 8> kindNames = {"all_reduce", "reduce_scatter", "all_gather", "all_to_all",
                                                              "permute",    "block",          "send",       "receive"};

std::optional<CollectiveKind> runtime::parseCollectiveKind(std::string_view name) {
  for (size_t i = 0; i < kindNames.size(); ++i)
    if (kindNames[i] == name)
      return static_cast<CollectiveKind>(i);
  return std::nullopt;
}

std::string_view runtime::toString(CollectiveKind kind) { return kindNames[static_cast<size_t>(kind)]; }

std::optional<Reduction> runtime::parseReduction(std::string_view name) {
  if (name == "sum")
    return Reduction::Sum;
  if (name == "max")
    return Reduction::Max;
  return std::nullopt;
}

Error runtime::validateReduction(CollectiveKind kind, const executable::Collective &collective) {
  bool reduces = kind == CollectiveKind::AllReduce || kind == CollectiveKind::ReduceScatter;
  if (!reduces)
    return collective.reduction().empty()
               ? Error::success()
               : Error::failure(fmt::format("the reduction '{}' in what reduces nothing", collective.reduction()));
  if (!parseReduction(collective.reduction()))
    return Error::failure(fmt::format("the reduction '{}' is not sum or max", collective.reduction()));
  switch (collective.data_type()) {
  case executable::F64:
  case executable::F32:
  case executable::F16:
  case executable::BF16:
  case executable::I64:
  case executable::I32:
    return Error::success();
  default:
    return Error::failure("numbers of this type cannot be reduced");
  }
}

Expected<PartBytes> runtime::getPartBytes(CollectiveKind kind, const executable::Part &part, int64_t elementBytes,
                                          int64_t groupSize) {
  std::optional<int64_t> elements = getElementCount(part.shape());
  // Whatever the kind, both sides then are sizes that an arena could hold.
  if (!elements || *elements > maximumBytes / elementBytes / groupSize)
    return Error::failure("no valid shape");
  bool hasDim = kind != CollectiveKind::AllReduce && kind != CollectiveKind::Permute && !isMessage(kind);
  bool hasSecondDim = kind == CollectiveKind::AllToAll;
  for (auto [dim, isUsed] : {std::pair(part.dim(), hasDim), std::pair(part.second_dim(), hasSecondDim)})
    if (isUsed ? dim < 0 || dim >= part.shape_size() : dim != 0)
      return Error::failure(fmt::format("dimension {} of {}", dim, part.shape_size()));
  bool divides = hasDim && kind != CollectiveKind::AllGather;
  if (int64_t size = hasDim ? part.shape(static_cast<int>(part.dim())) : 0; divides && size % groupSize != 0)
    return Error::failure(fmt::format("{} elements of dimension {} do not divide by {} ranks", size, part.dim(),
                                      groupSize));
  PartBytes bytes = {*elements * elementBytes, *elements * elementBytes};
  if (kind == CollectiveKind::AllGather)
    bytes.target *= groupSize;
  else if (kind == CollectiveKind::ReduceScatter || kind == CollectiveKind::Block)
    bytes.target /= groupSize;
  else if (kind == CollectiveKind::Send)
    bytes.target = 0;
  else if (kind == CollectiveKind::Receive)
    bytes.source = 0;
  return bytes;
}
