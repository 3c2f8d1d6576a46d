//===- Meeting.h - Shared memory in which ranks exchange bytes ----*- C++ -*-===//
//
// The ranks of an emulated RCCL communicator are threads of one process, or processes of one host: they meet in a file of
// /dev/shm that the communicator's unique id names. Bytes go from rank to rank through a slot for each pair, piece by
// piece; whoever waits sleeps in between.
//
//===----------------------------------------------------------------------===//

#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace primus::emulator::rccl {

/// Bytes that go to a peer and bytes that come from it, at the same time; either may be none.
struct Exchange {
  int peer;
  const uint8_t *source;
  size_t sourceBytes;
  uint8_t *target;
  size_t targetBytes;
};

class Meeting {
public:
  /// Opens the file, and makes it if no other rank has. Null if the system refuses.
  static std::unique_ptr<Meeting> open(const std::string &name, int ranks, int rank);
  ~Meeting();

  /// Takes the file's name away, when all ranks have opened it.
  void hide();

  int getRanks() const { return ranks; }
  int getRank() const { return rank; }

  /// Exchanges with several peers, in order with each, until all bytes have gone and come. False if it was aborted.
  bool run(std::vector<Exchange> exchanges);
  /// Ends what runs, on this rank.
  void abort() { aborted = true; }

private:
  static constexpr size_t slotBytes = 1 << 16;
  /// From one rank to another: full while `bytes` is not 0.
  struct Slot {
    std::atomic<uint32_t> bytes;
    uint8_t data[slotBytes];
  };

  Meeting(int ranks, int rank) : ranks(ranks), rank(rank) {}
  Slot &getSlot(int from, int to) { return slots[size_t(from) * size_t(ranks) + size_t(to)]; }

  std::string path;
  int ranks, rank;
  size_t mappedBytes = 0;
  Slot *slots = nullptr;
  std::atomic<bool> aborted = false;
};

} // namespace primus::emulator::rccl
