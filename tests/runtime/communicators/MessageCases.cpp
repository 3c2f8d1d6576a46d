//===- MessageCases.cpp - Random messages between ranks -------------------===//

#include "tests/runtime/communicators/CollectiveCases.h"

#include <algorithm>
#include <fmt/format.h>
#include <random>

using namespace primus;
using namespace primus::runtime;

namespace {

using Random = std::mt19937_64;

/// A message as all ranks know it.
struct Case {
  int from, to;
  std::vector<int64_t> sizes; ///< bytes of its parts
};

/// A rank's side of a message.
struct Side {
  Side(const Case &test, size_t number, Communicator &communicator) : test(test), number(number) {
    bool sends = communicator.getRank() == test.from;
    CollectiveDescription description;
    description.kind = sends ? CollectiveKind::Send : CollectiveKind::Receive;
    description.type = executable::I8;
    description.elementBytes = 1;
    description.group = {test.from, test.to};
    description.index = sends ? 0 : 1;
    description.name = fmt::format("message {}", number);
    parts.resize(test.sizes.size());
    for (size_t i = 0; i < parts.size(); ++i) {
      parts[i].resize(static_cast<size_t>(test.sizes[i]));
      auto *bytes = reinterpret_cast<std::byte *>(parts[i].data());
      description.parts.push_back({{test.sizes[i]}, 0, 0, sends ? bytes : nullptr, sends ? nullptr : bytes});
    }
    message = communicator.prepare(std::move(description));
  }

  std::string makeText(size_t part, int run) const {
    std::string text(parts[part].size(), static_cast<char>('a' + (number + part + static_cast<size_t>(run)) % 26));
    for (size_t i = 0; i < text.size(); i += 7)
      text[i] = static_cast<char>('0' + (number * 3 + i) % 10);
    return text;
  }

  const Case &test;
  size_t number;
  std::vector<std::string> parts;
  std::unique_ptr<Collective> message;
};

} // namespace

/// The order in which a rank starts its sides: any that keeps the order of each channel.
static std::vector<Side *> shuffle(const std::vector<std::unique_ptr<Side>> &sides, Random &random) {
  std::map<CollectiveDescription::Channel, std::vector<Side *>> channels;
  for (auto &side : sides) {
    CollectiveDescription::Channel channel = side->message->getDescription().getChannel();
    channels[channel].push_back(side.get());
  }
  std::vector<std::vector<Side *>> lists;
  std::vector<size_t> draws;
  for (auto &[channel, list] : channels) {
    std::reverse(list.begin(), list.end());
    draws.insert(draws.end(), list.size(), lists.size());
    lists.push_back(std::move(list));
  }
  std::shuffle(draws.begin(), draws.end(), random);
  std::vector<Side *> order;
  for (size_t list : draws) {
    order.push_back(lists[list].back());
    lists[list].pop_back();
  }
  return order;
}

std::string test::checkRandomMessages(Communicator &communicator, uint64_t seed, int count) {
  Random shared(seed), own(seed * 31 + static_cast<uint64_t>(communicator.getRank()));
  int ranks = communicator.getNumRanks(), rank = communicator.getRank();
  std::vector<Case> cases;
  for (int i = 0; i < count && ranks > 1; ++i) {
    int from = static_cast<int>(shared() % static_cast<uint64_t>(ranks));
    int to = (from + 1 + static_cast<int>(shared() % static_cast<uint64_t>(ranks - 1))) % ranks;
    Case test = {from, to, {}};
    for (uint64_t parts = 1 + shared() % 3; parts > 0; --parts)
      test.sizes.push_back(static_cast<int64_t>(shared() % (shared() % 8 == 0 ? 300000 : 100)) + 1);
    cases.push_back(std::move(test));
  }
  std::vector<std::unique_ptr<Side>> sides;
  for (size_t i = 0; i < cases.size(); ++i)
    if (cases[i].from == rank || cases[i].to == rank)
      sides.push_back(std::make_unique<Side>(cases[i], i, communicator));
  for (int run = 0; run < 3; ++run) {
    for (auto &side : sides)
      for (size_t i = 0; i < side->parts.size(); ++i) {
        std::string text = rank == side->test.from ? side->makeText(i, run) : std::string(side->parts[i].size(), '?');
        std::copy(text.begin(), text.end(), side->parts[i].begin());
      }
    // The other ranks' orders differ, and none waits before it has started all of its own.
    std::vector<Side *> order = shuffle(sides, own);
    for (Side *side : order)
      communicator.start(*side->message);
    std::shuffle(order.begin(), order.end(), own);
    for (Side *side : order)
      if (Error error = communicator.wait(*side->message))
        return error.getMessage();
    for (auto &side : sides)
      for (size_t i = 0; i < side->parts.size(); ++i)
        if (side->parts[i] != side->makeText(i, run))
          return fmt::format("message {} from {} to {}: part {} is wrong in run {}", side->number, side->test.from,
                             side->test.to, i, run);
  }
  Error error = communicator.barrier();
  return error ? error.getMessage() : std::string();
}

std::string test::checkMessagesOnLinks(Communicator &communicator) {
  const Case test = {0, 1, {100}};
  Side first(test, 0, communicator), second(test, 1, communicator);
  if (Error error = communicator.barrier())
    return error.getMessage();
  auto start = Communicator::Clock::now();
  auto getSeconds = [&] { return std::chrono::duration<double>(Communicator::Clock::now() - start).count(); };
  for (Side *side : {&first, &second})
    communicator.start(*side->message);
  if (double seconds = getSeconds(); seconds > 0.15)
    return fmt::format("rank {} has waited for {} seconds before it waits", communicator.getRank(), seconds);
  // A rank may have left the barrier a little later than the other.
  for (double least : {0.15, 0.35}) {
    if (Error error = communicator.wait(least < 0.2 ? *first.message : *second.message))
      return error.getMessage();
    if (double seconds = getSeconds(); seconds < least)
      return fmt::format("rank {} has a message after {} seconds", communicator.getRank(), seconds);
  }
  Error error = communicator.barrier();
  return error ? error.getMessage() : std::string();
}
