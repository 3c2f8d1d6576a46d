//===- GatherBytes.h - The host's bytes of all processes ------------------===//

#ifndef PRIMUS_RUNTIME_COMMUNICATORS_MPI_LIBRARY_GATHERBYTES_H
#define PRIMUS_RUNTIME_COMMUNICATORS_MPI_LIBRARY_GATHERBYTES_H

#include "runtime/communicators/mpi/library/Operation.h"

namespace primus::runtime {

/// Each rank sends its bytes to every other, after their number.
class GatherBytes final : public Operation {
public:
  GatherBytes(std::string_view bytes, int rank, int numRanks)
      : rank(rank), own(bytes), ownSize(static_cast<int64_t>(bytes.size())), sizes(static_cast<size_t>(numRanks), 0),
        all(static_cast<size_t>(numRanks)) {
    all[static_cast<size_t>(rank)] = bytes;
  }

  void begin() override {
    forOthers([&](int other, size_t i) {
      sizeMessages.receive(&sizes[i], sizeof(int64_t), MPI_BYTE, other, sizeTag);
      sizeMessages.send(&ownSize, sizeof(int64_t), MPI_BYTE, other, sizeTag);
      if (ownSize > 0)
        byteMessages.send(own.data(), ownSize, MPI_BYTE, other, bytesTag);
    });
  }

  bool advance() override {
    if (!sizeMessages.test())
      return false;
    if (!hasSizes)
      forOthers([&](int other, size_t i) {
        all[i].resize(static_cast<size_t>(sizes[i]));
        if (sizes[i] > 0)
          byteMessages.receive(all[i].data(), sizes[i], MPI_BYTE, other, bytesTag);
      });
    hasSizes = true;
    return byteMessages.test();
  }

  std::vector<int> getMissing() const override {
    std::vector<int> missing = sizeMessages.getMissing();
    return missing.empty() ? byteMessages.getMissing() : missing;
  }
  std::string getError() const override {
    return sizeMessages.getError().empty() ? byteMessages.getError() : sizeMessages.getError();
  }
  std::string getName() const override { return "an exchange between all ranks"; }

  std::vector<std::string> take() { return std::move(all); }

private:
  template <typename Use>
  void forOthers(Use use) {
    for (size_t i = 0; i < all.size(); ++i)
      if (static_cast<int>(i) != rank)
        use(static_cast<int>(i), i);
  }

  int rank;
  std::string_view own;
  int64_t ownSize;
  std::vector<int64_t> sizes;
  std::vector<std::string> all;
  PendingMessages sizeMessages, byteMessages;
  bool hasSizes = false;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_COMMUNICATORS_MPI_LIBRARY_GATHERBYTES_H
