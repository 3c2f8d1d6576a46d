//===- Communicator.cpp - How ranks talk ----------------------------------===//

#include "runtime/communicators/Communicator.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <functional>
#include <iterator>
#include <numeric>
#include <thread>

using namespace primus::runtime;

//===----------------------------------------------------------------------===//
// Collectives
//===----------------------------------------------------------------------===//

int CollectiveDescription::getPermuteSource() const {
  auto size = static_cast<int64_t>(group.size());
  return static_cast<int>(((index - shift) % size + size) % size);
}

Transfer CollectiveDescription::getTransfer(const Part &part, int from, int to) const {
  return makeTransfer(kind, part.shape, part.dim, part.secondDim, elementBytes, getGroupSize(), from, to);
}

int64_t CollectiveDescription::getSentBytes() const {
  int64_t bytes = 0;
  for (const Part &part : parts)
    bytes += std::reduce(part.shape.begin(), part.shape.end(), elementBytes, std::multiplies<int64_t>());
  return runtime::getSentBytes(kind, bytes, getGroupSize(), shift);
}

//===----------------------------------------------------------------------===//
// The model of a network
//===----------------------------------------------------------------------===//

Expected<LinkModel> LinkModel::fromEnvironment() {
  LinkModel model;
  const char *variable = std::getenv("PRIMUS_LINK");
  std::string_view rest = variable ? variable : "";
  while (!rest.empty()) {
    std::string_view entry = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), entry.size() + 1));
    if (entry == "clock=processor") {
      model.onProcessorTime = true;
      continue;
    }
    size_t equals = entry.find('=');
    std::string_view name = entry.substr(0, equals);
    double *target = name == "latency" ? &model.latencySeconds : name == "bandwidth" ? &model.bytesPerSecond : nullptr;
    std::string_view text = equals == std::string_view::npos ? "" : entry.substr(equals + 1);
    double value = 0;
    auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (!target || code != std::errc() || end != text.data() + text.size() || !std::isfinite(value) || value < 0)
      return Error::configuration(
          fmt::format("PRIMUS_LINK: '{}' is not latency=SECONDS, bandwidth=BYTES_PER_SECOND or clock=processor", entry));
    *target = value;
  }
  return model;
}

/// Of the calling thread.
static Communicator::Clock::duration getProcessorTime() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

Communicator::Clock::time_point Communicator::enter() {
  if (left)
    computed += getProcessorTime() - *left;
  return options.link.onProcessorTime ? Clock::time_point(computed + waitedForLink) : Clock::now();
}

double Communicator::getSeconds() const {
  if (!options.link.onProcessorTime)
    return toSeconds(Clock::now().time_since_epoch());
  return toSeconds(computed + waitedForLink + (left ? getProcessorTime() - *left : Clock::duration::zero()));
}

void Communicator::leave() { left = getProcessorTime(); }

void Communicator::occupyLink(Collective &collective, Clock::time_point now) {
  int64_t bytes = options.link.isActive() ? collective.description.getSentBytes() : 0;
  collective.linkIsDone = {};
  bool tellsTime = options.link.onProcessorTime && collective.description.isBetweenStages;
  if (bytes == 0 && !tellsTime)
    return;
  double seconds = bytes > 0 ? options.link.latencySeconds : 0;
  if (bytes > 0 && options.link.bytesPerSecond > 0)
    seconds += static_cast<double>(bytes) / options.link.bytesPerSecond;
  *collective.linkIsFree =
      std::max(*collective.linkIsFree, now) + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  collective.linkIsDone = *collective.linkIsFree;
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

std::unique_ptr<Collective> Communicator::prepare(CollectiveDescription description) {
  Clock::time_point *link = &links[description.getChannel()];
  std::unique_ptr<Collective> collective = doPrepare(std::move(description));
  collective->linkIsFree = link;
  return collective;
}

void Communicator::start(Collective &collective) {
  occupyLink(collective, enter());
  doStart(collective);
  leave();
}

Error Communicator::wait(Collective &collective) {
  WaitScope scope(*this);
  Clock::time_point start = Clock::now(), now = enter();
  return finishWait(collective, start, now, doWait(collective, getDeadline()));
}

Error Communicator::run(Collective &collective) {
  WaitScope scope(*this);
  Clock::time_point start = Clock::now(), now = enter();
  occupyLink(collective, now);
  return finishWait(collective, start, now, doRun(collective, getDeadline()));
}

Error Communicator::finishWait(Collective &collective, Clock::time_point start, Clock::time_point now, Error error) {
  if (!options.link.onProcessorTime)
    now = Clock::now();
  if (!error && collective.linkIsDone > now) {
    waitedForLink += collective.linkIsDone - now;
    if (!options.link.onProcessorTime)
      std::this_thread::sleep_until(collective.linkIsDone);
  }
  waitSeconds += toSeconds(Clock::now() - start);
  leave();
  return error;
}

std::string Communicator::nameRank(const std::string &message) const {
  bool isNamed = message.starts_with("rank ") || message.starts_with("ranks ");
  return isNamed ? message : fmt::format("rank {} failed: {}", getRank(), message);
}

Communicator::Clock::time_point Communicator::getDeadline() const {
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options.timeoutSeconds));
}

std::string Communicator::describeLost(const std::vector<int> &ranks, std::string_view where) const {
  bool isOne = ranks.size() == 1;
  return fmt::format("rank{} {} did not come to {} within {:g} seconds and count{} as lost (--timeout)", isOne ? "" : "s",
                     fmt::join(ranks, ", "), where, options.timeoutSeconds, isOne ? "s" : "");
}

std::vector<int> Communicator::chooseLost(const std::vector<int> &missing, const std::vector<bool> &isWaiting) {
  std::vector<int> lost;
  std::ranges::copy_if(missing, std::back_inserter(lost), [&](int rank) { return !isWaiting[static_cast<size_t>(rank)]; });
  if (!lost.empty())
    return lost;
  for (size_t rank = 0; rank < isWaiting.size(); ++rank)
    if (!isWaiting[rank])
      lost.push_back(static_cast<int>(rank));
  return lost.empty() ? missing : lost;
}

//===----------------------------------------------------------------------===//
// Of the host
//===----------------------------------------------------------------------===//

Error Communicator::barrier() {
  Expected<std::vector<std::string>> all = allGatherBytes({});
  return all ? Error::success() : all.takeError();
}

Expected<std::string> Communicator::broadcast(std::string_view bytes, int root) {
  Expected<std::vector<std::string>> all = allGatherBytes(getRank() == root ? bytes : std::string_view());
  if (!all)
    return all.takeError();
  return std::move((*all)[static_cast<size_t>(root)]);
}

Error Communicator::allReduce(std::span<double> values, Reduction reduction) {
  Expected<std::vector<std::string>> all =
      allGatherBytes({reinterpret_cast<const char *>(values.data()), values.size_bytes()});
  if (!all)
    return all.takeError();
  for (size_t i = 0; i < values.size(); ++i) {
    for (size_t rank = 0; rank < all->size(); ++rank) {
      double value;
      std::memcpy(&value, (*all)[rank].data() + i * sizeof(value), sizeof(value));
      values[i] = rank == 0 ? value : reduction == Reduction::Sum ? values[i] + value : std::max(values[i], value);
    }
  }
  return Error::success();
}

Error Communicator::agree(Error error) {
  std::string own;
  if (error)
    own = std::string(1, static_cast<char>('0' + error.getExitCode())) + error.getMessage();
  Expected<std::vector<std::string>> all = allGatherBytes(own);
  if (!all)
    return all.takeError();
  for (const std::string &entry : *all) {
    if (entry.empty())
      continue;
    std::string message = entry.substr(1);
    switch (entry.front()) {
    case '2':
      return Error::configuration(message);
    case '3':
      return Error::failure(message);
    default:
      return Error::defect(message);
    }
  }
  return Error::success();
}
