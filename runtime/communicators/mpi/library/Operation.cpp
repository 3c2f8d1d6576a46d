//===- Operation.cpp - What is in progress between processes --------------===//

#include "runtime/communicators/mpi/library/Operation.h"

#include <set>

using namespace primus::runtime;

std::string PendingMessages::describe(int code) {
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  return "MPI: " + std::string(text, static_cast<size_t>(length));
}

bool PendingMessages::test() {
  if (requests.empty())
    return true;
  arrived.resize(requests.size());
  int count = 0;
  int code = MPI_Testsome(static_cast<int>(requests.size()), requests.data(), &count, arrived.data(), MPI_STATUSES_IGNORE);
  if (code != MPI_SUCCESS)
    fail(describe(code));
  // Completed requests are null now.
  size_t kept = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (requests[i] == MPI_REQUEST_NULL)
      continue;
    requests[kept] = requests[i];
    peers[kept++] = peers[i];
  }
  requests.resize(kept);
  peers.resize(kept);
  return kept == 0;
}

std::vector<int> PendingMessages::getMissing() const {
  std::set<int> senders, receivers;
  for (const Peer &peer : peers)
    (peer.isReceive ? senders : receivers).insert(peer.rank);
  const std::set<int> &missing = senders.empty() ? receivers : senders;
  return {missing.begin(), missing.end()};
}
