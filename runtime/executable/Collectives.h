//===- Collectives.h - Kinds and sizes of collectives ---------------------===//

#ifndef PRIMUS_RUNTIME_EXECUTABLE_COLLECTIVES_H
#define PRIMUS_RUNTIME_EXECUTABLE_COLLECTIVES_H

#include "runtime/executable/CollectiveKind.h"
#include "runtime/executable/Executable.pb.h"
#include "runtime/support/Error.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace primus::runtime {

std::optional<CollectiveKind> parseCollectiveKind(std::string_view name);
std::string_view toString(CollectiveKind kind);

enum class Reduction : uint8_t { Sum, Max };

std::optional<Reduction> parseReduction(std::string_view name);

/// Checks the reduction of a collective, and that its type can be reduced.
Error validateReduction(CollectiveKind kind, const executable::Collective &collective);

/// Bytes of a part on one rank.
struct PartBytes {
  int64_t source = 0;
  int64_t target = 0;
};

/// Checks a part's shape and dimensions in a group of `groupSize` ranks.
Expected<PartBytes> getPartBytes(CollectiveKind kind, const executable::Part &part, int64_t elementBytes,
                                 int64_t groupSize);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_EXECUTABLE_COLLECTIVES_H
