//===- MpiCollective.h - Collectives of messages --------------------------===//

#ifndef PRIMUS_RUNTIME_COMMUNICATORS_MPI_LIBRARY_MPICOLLECTIVE_H
#define PRIMUS_RUNTIME_COMMUNICATORS_MPI_LIBRARY_MPICOLLECTIVE_H

#include "runtime/communicators/mpi/library/Operation.h"

namespace primus::runtime {

/// A collective that moves tensors or parts of them as they are: each pair of ranks exchanges one message per part, which
/// MPI gathers from strided memory and scatters there.
class MovingCollective final : public Collective, public Operation {
public:
  /// `numbers` are those of its messages' tags, by member.
  MovingCollective(CollectiveDescription description, std::vector<int> numbers);
  ~MovingCollective() override;

  void begin() override;
  bool advance() override;
  std::vector<int> getMissing() const override { return messages.getMissing(); }
  std::string getError() const override { return messages.getError(); }
  std::string getName() const override { return getDescription().name; }

private:
  /// One part's messages with one member.
  struct Message {
    size_t part;
    int member;
    Transfer transfer;
    MPI_Datatype type;
  };

  bool takesFrom(int from, int to) const;
  int getRank(const Message &message) const { return getDescription().group[static_cast<size_t>(message.member)]; }
  int getMessageTag(const Message &message) const;
  void postSends();

  std::vector<int> numbers;
  std::vector<Message> sends, receives;
  bool hasSent = false;
  PendingMessages messages;
};

/// An all_reduce or reduce_scatter. Each rank forms its block of the result, and of an all_reduce sends it to the others.
/// Blocks travel in pieces of a fixed size, several of which are under way at a time, so that buffers stay small.
class ReducingCollective final : public Collective, public Operation {
public:
  /// Bytes of a piece, and pieces under way.
  static constexpr int64_t pieceBytes = 256 * 1024;
  static constexpr size_t window = 2;

  /// `numbers` are those of its messages' tags, by member.
  ReducingCollective(CollectiveDescription description, std::vector<int> numbers);

  /// What `buffer` has to hold in a group of this size.
  static int64_t getBufferBytes(int groupSize) { return int64_t(window) * 2 * groupSize * pieceBytes; }

  void begin() override;
  bool advance() override;
  std::vector<int> getMissing() const override;
  std::string getError() const override;
  std::string getName() const override { return getDescription().name; }

  /// Set before begin.
  std::byte *buffer = nullptr;

private:
  /// Piece number `index` of every member's block of a part.
  struct Round {
    size_t part = 0;
    int64_t index = 0;
    int64_t number = 0; ///< counts all rounds
    enum { Sources, Results, Nothing } underWay = Nothing;
    PendingMessages sources, results;
  };

  /// The elements of piece `index` of a member's block: begin and end in the block, packed.
  struct Range {
    int64_t begin, end;
    int64_t getCount() const { return end - begin; }
  };

  Range getRange(size_t part, int member, int64_t index) const;
  /// Starts the next round in a slot, if there is one left.
  void startNextRound(size_t slot);
  /// Forms this rank's piece of a round whose sources have arrived, and sends it where it is wanted.
  void reduce(size_t slot);
  /// This rank's source for a piece of a member's block, made contiguous in `buffer` if it is not.
  const std::byte *pack(size_t part, int member, Range range, std::byte *buffer) const;
  std::byte *getBuffer(size_t slot, bool isSend, int member) const;

  std::vector<int> numbers;
  std::vector<std::vector<Transfer>> blocks; ///< by part and member
  std::vector<int64_t> roundsOfPart;
  Round rounds[window];
  /// What startNextRound starts.
  size_t nextPart = 0;
  int64_t nextIndex = 0;
  int64_t nextNumber = 0;
  std::vector<const std::byte *> sources;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_COMMUNICATORS_MPI_LIBRARY_MPICOLLECTIVE_H
