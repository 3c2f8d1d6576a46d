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
    // The queue is empty: the device comes to this mark at once.
    if (!origin)
      if (Error error = makeEvent(origin))
        return error;
    if (Error error = context.check(context.getLibrary().EventRecord(origin, context.getStream()), "hipEventRecord", doing))
      return error;
    if (Error error = context.synchronize({}))
      return error;
    originSeconds = std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
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
