//===- Communication.h - What a step exchanges between ranks --------------===//

#ifndef PRIMUS_RUNTIME_METRICS_COMMUNICATION_H
#define PRIMUS_RUNTIME_METRICS_COMMUNICATION_H

#include "runtime/executable/Executable.pb.h"

#include <string>
#include <vector>

namespace primus::runtime {

/// Collectives of one kind over one list of axes.
struct Communication {
  std::string kind;
  std::vector<std::string> axes;
  /// The rank goes on computing meanwhile.
  bool asynchronous = false;
  /// How many there are; several tensors that travel together are one.
  int64_t count = 0;
  /// Bytes that a rank sends (getSentBytes).
  int64_t bytes = 0;
};

/// What one rank does in a run of a program, sorted. The executable must be valid.
std::vector<Communication> sumCommunication(const executable::Executable &executable, const executable::Program &program);

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_METRICS_COMMUNICATION_H
