//===- HipClock.h - When a GPU has done what ------------------------------===//

#ifndef PRIMUS_RUNTIME_DEVICES_HIP_HIPCLOCK_H
#define PRIMUS_RUNTIME_DEVICES_HIP_HIPCLOCK_H

#include "runtime/devices/hip/HipContext.h"

#include <vector>

namespace primus::runtime::hip {

/// Marks in the context's queue, as times of the host's steady clock. Its events are made when they are needed.
class Clock {
public:
  explicit Clock(Context &context) : context(context) {}
  ~Clock();
  Clock(const Clock &) = delete;
  Clock &operator=(const Clock &) = delete;

  Error mark();
  /// The queue has to be empty.
  Expected<std::vector<double>> takeMarks();

private:
  Error makeEvent(Event &event);

  Context &context;
  /// A moment that both clocks know: events tell differences only, with the fewer digits the longer they are.
  Event origin = nullptr;
  double originSeconds = 0;
  std::vector<Event> events;
  size_t used = 0;
};

} // namespace primus::runtime::hip

#endif // PRIMUS_RUNTIME_DEVICES_HIP_HIPCLOCK_H
