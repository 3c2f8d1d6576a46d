//===- Meeting.cpp - Shared memory in which ranks exchange bytes ----------===//

#include "tests/emulator/rccl/Meeting.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <set>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

using namespace primus::emulator::rccl;

std::unique_ptr<Meeting> Meeting::open(const std::string &name, int ranks, int rank) {
  std::unique_ptr<Meeting> meeting(new Meeting(ranks, rank));
  meeting->path = "/dev/shm/" + name;
  int descriptor = ::open(meeting->path.c_str(), O_RDWR | O_CREAT, 0600);
  if (descriptor < 0)
    return nullptr;
  size_t bytes = sizeof(Slot) * size_t(ranks) * size_t(ranks);
  // A new file is all zero, and so are the slots of whoever makes it longer.
  void *memory = ftruncate(descriptor, off_t(bytes)) == 0
                     ? mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
                     : MAP_FAILED;
  close(descriptor);
  if (memory == MAP_FAILED)
    return nullptr;
  meeting->mappedBytes = bytes;
  meeting->slots = static_cast<Slot *>(memory);
  return meeting;
}

Meeting::~Meeting() {
  if (slots)
    munmap(slots, mappedBytes);
}

void Meeting::hide() { unlink(path.c_str()); }

bool Meeting::run(std::vector<Exchange> exchanges) {
  auto isDone = [](const Exchange &e) { return e.sourceBytes == 0 && e.targetBytes == 0; };
  while (!exchanges.empty()) {
    if (aborted)
      return false;
    bool hasMoved = false;
    // What goes to a peer goes in order, and so does what comes from it: the first of each has the slot to itself.
    std::set<int> sendsTo, receivesFrom;
    for (Exchange &e : exchanges) {
      Slot &out = getSlot(rank, e.peer), &in = getSlot(e.peer, rank);
      if (e.sourceBytes > 0 && sendsTo.insert(e.peer).second && out.bytes.load(std::memory_order_acquire) == 0) {
        size_t size = std::min(e.sourceBytes, slotBytes);
        std::memcpy(out.data, e.source, size);
        out.bytes.store(uint32_t(size), std::memory_order_release);
        e.source += size;
        e.sourceBytes -= size;
        hasMoved = true;
      }
      bool receives = e.targetBytes > 0 && receivesFrom.insert(e.peer).second;
      size_t arrived = receives ? in.bytes.load(std::memory_order_acquire) : 0;
      if (arrived > e.targetBytes)
        return false;
      if (arrived > 0) {
        std::memcpy(e.target, in.data, arrived);
        in.bytes.store(0, std::memory_order_release);
        e.target += arrived;
        e.targetBytes -= arrived;
        hasMoved = true;
      }
    }
    std::erase_if(exchanges, isDone);
    if (!hasMoved && !exchanges.empty())
      std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  return true;
}
