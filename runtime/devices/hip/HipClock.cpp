//===- HipClock.cpp - When a GPU has done what ----------------------------===//

#include "runtime/devices/hip/HipClock.h"

#include <chrono>

using namespace primus::runtime;
using namespace primus::runtime::hip;

static constexpr const char *doing = "measuring time";

Clock::~Clock() {
  if (context.isLost())
    return;
  events.push_back(origin);
  for (Event event : events)
    if (event)
      context.getLibrary().EventDestroy(event);
}

Error Clock::makeEvent(Event &event) {
  return context.check(context.getLibrary().EventCreateWithFlags(&event, /*flags=*/0), "hipEventCreateWithFlags", doing);
}

Error Clock::mark() {
  if (used == 0) {
    if (!origin)
      if (Error error = makeEvent(origin))
        return error;
    // The queue is empty: the device comes to this mark at once. (Before it, not after the wait for it: no time is later than
    // it was, so that what follows on the host does not seem to begin before the device's work has ended.)
    originSeconds = std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
    if (Error error = context.check(context.getLibrary().EventRecord(origin, context.getStream()), "hipEventRecord", doing))
      return error;
    if (Error error = context.synchronize({}))
      return error;
  }
  if (used == events.size()) {
    Event event = nullptr;
    if (Error error = makeEvent(event))
      return error;
    events.push_back(event);
  }
  return context.check(context.getLibrary().EventRecord(events[used++], context.getStream()), "hipEventRecord", doing);
}

Expected<std::vector<double>> Clock::takeMarks() {
  std::vector<double> seconds;
  for (size_t i = 0; i < used; ++i) {
    float milliseconds = 0;
    if (Error error = context.check(context.getLibrary().EventElapsedTime(&milliseconds, origin, events[i]),
                                    "hipEventElapsedTime", doing))
      return error;
    seconds.push_back(originSeconds + static_cast<double>(milliseconds) * 1e-3);
  }
  used = 0;
  return seconds;
}
