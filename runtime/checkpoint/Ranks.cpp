//===- Ranks.cpp - Ranks that save or load together -----------------------===//

#include "runtime/checkpoint/Ranks.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <future>

using namespace primus::runtime;

int primus::runtime::getRank(const Communicator *ranks) { return ranks ? ranks->getRank() : 0; }

int primus::runtime::getNumRanks(const Communicator *ranks) { return ranks ? ranks->getNumRanks() : 1; }

Error primus::runtime::agree(Communicator *ranks, Error own) {
  if (getNumRanks(ranks) == 1)
    return own;
  Expected<std::vector<std::string>> all = ranks->allGatherBytes(own ? own.getMessage() : "");
  if (!all)
    return all.takeError();
  // What is wrong for all is no rank's.
  if (std::ranges::adjacent_find(*all, std::not_equal_to()) == all->end())
    return own;
  return ranks->agree(own ? own.withPrefix(fmt::format("rank {}: ", ranks->getRank())) : Error::success());
}

Error primus::runtime::agreeAfter(Communicator *ranks, const std::function<Error()> &work) {
  if (getNumRanks(ranks) == 1)
    return work();
  std::future<Error> outcome = std::async(std::launch::async, work);
  for (;;) {
    bool isDone = outcome.wait_for(std::chrono::milliseconds(50)) == std::future_status::ready;
    Expected<std::vector<std::string>> busy = gather(ranks, isDone ? "" : "busy");
    if (!busy)
      return busy.takeError();
    if (std::ranges::all_of(*busy, &std::string::empty))
      return agree(ranks, outcome.get());
  }
}

Expected<std::vector<std::string>> primus::runtime::gather(Communicator *ranks, std::string own) {
  if (getNumRanks(ranks) == 1)
    return std::vector{std::move(own)};
  return ranks->allGatherBytes(own);
}

Expected<std::string> primus::runtime::hearFirst(Communicator *ranks, std::string own) {
  return getNumRanks(ranks) == 1 ? std::move(own) : ranks->broadcast(own);
}
