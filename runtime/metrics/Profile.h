//===- Profile.h - What happened when, as a Chrome trace ------------------===//
//
// The format: "Trace Event Format" (Google, 2016), complete events ("ph": "X"), which Perfetto and chrome://tracing show.
// A rank is a process of the trace, and has a track for the program, one for what its device does, and one for what ranks
// exchange.
//
//===----------------------------------------------------------------------===//

#ifndef PRIMUS_RUNTIME_METRICS_PROFILE_H
#define PRIMUS_RUNTIME_METRICS_PROFILE_H

#include "runtime/communicators/Communicator.h"

#include <map>
#include <string>
#include <vector>

namespace primus::runtime {

/// What an event is, as often as it happens. Costs are 0 where they are not known.
struct ProfileLabel {
  std::string name;
  const char *category = ""; ///< program, kernel, copy, fill, collective, wait
  std::string function = {}, instance = {}; ///< whose it is: block.forward, layers.3
  int64_t flops = 0;
  int64_t bytes = 0;
  double boundSeconds = 0; ///< that it takes at least on the hardware it was compiled for
};

/// The events of one rank. Times are seconds of one clock: the steady one, or that of Communicator::getSeconds.
class Profile {
public:
  enum class Track : uint8_t { Program, Device, Exchange };

  /// `boundSeconds`: of kernels, by name, where the compiler knows the hardware.
  explicit Profile(std::map<std::string, double> boundSeconds) : boundSeconds(std::move(boundSeconds)) {}

  /// Sets the zero of all times, which should be one moment on all ranks.
  void start(double seconds) { origin = seconds; }

  /// Whether it goes on. It ends by itself after so many events that more would be of no use to a person.
  bool isActive() const { return events.size() < mostEvents; }
  /// The label has to outlive the profile.
  void add(const ProfileLabel &label, Track track, double begin, double end) {
    events.push_back({&label, track, begin, end});
  }
  double getBoundSeconds(const std::string &kernel) const {
    auto found = boundSeconds.find(kernel);
    return found == boundSeconds.end() ? 0 : found->second;
  }

  /// Collects the events of all ranks, and writes them to the file on rank 0. All ranks call it together.
  Error write(Communicator &communicator, const std::string &path) const;

private:
  static constexpr size_t mostEvents = 200'000;

  struct Event {
    const ProfileLabel *label;
    Track track;
    double begin, end;
  };

  /// The events as JSON, one per line, each with a comma before it.
  std::string format(int rank) const;

  std::map<std::string, double> boundSeconds;
  double origin = 0;
  std::vector<Event> events;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_METRICS_PROFILE_H
