//===- Operation.cpp - What is in progress between processes --------------===//

#include "runtime/communicators/mpi/library/Operation.h"

#include <algorithm>

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
    ranks[kept++] = ranks[i];
  }
  requests.resize(kept);
  ranks.resize(kept);
  return kept == 0;
}

void PendingMessages::addMissing(std::vector<int> &missing) const {
  for (int rank : ranks)
    if (std::ranges::find(missing, rank) == missing.end())
      missing.push_back(rank);
  std::ranges::sort(missing);
}
