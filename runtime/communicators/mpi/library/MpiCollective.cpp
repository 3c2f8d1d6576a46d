//===- MpiCollective.cpp - Collectives of messages ------------------------===//

#include "runtime/communicators/mpi/library/MpiCollective.h"

#include "runtime/communicators/Reduce.h"

#include <algorithm>
#include <cstring>
#include <set>

using namespace primus::runtime;

//===----------------------------------------------------------------------===//
// Moving
//===----------------------------------------------------------------------===//

/// One side of a transfer as a type of MPI, in elements of `elementBytes`.
static MPI_Datatype makeType(const Transfer &transfer, const StridedBytes &side, int64_t elementBytes) {
  MPI_Datatype element, run, middle, outer;
  MPI_Type_contiguous(static_cast<int>(elementBytes), MPI_BYTE, &element);
  MPI_Type_contiguous(static_cast<int>(transfer.run / elementBytes), element, &run);
  MPI_Type_create_hvector(static_cast<int>(transfer.middle), 1, side.middleStride, run, &middle);
  MPI_Type_create_hvector(static_cast<int>(transfer.outer), 1, side.outerStride, middle, &outer);
  MPI_Type_commit(&outer);
  for (MPI_Datatype *part : {&element, &run, &middle})
    MPI_Type_free(part);
  return outer;
}

bool MovingCollective::takesFrom(int from, int to) const {
  const CollectiveDescription &own = getDescription();
  if (from == to || own.kind == CollectiveKind::Block)
    return false;
  if (isMessage(own.kind))
    return from == 0;
  if (own.kind != CollectiveKind::Permute)
    return true;
  int64_t size = own.getGroupSize();
  return ((to - own.shift) % size + size) % size == from;
}

MovingCollective::MovingCollective(CollectiveDescription given, std::vector<int> numbers)
    : Collective(std::move(given)), numbers(std::move(numbers)) {
  const CollectiveDescription &own = getDescription();
  for (size_t part = 0; part < own.parts.size(); ++part)
    for (int member = 0; member < own.getGroupSize(); ++member) {
      if (takesFrom(own.index, member)) {
        Transfer transfer = own.getTransfer(own.parts[part], own.index, member);
        sends.push_back({part, member, transfer, makeType(transfer, transfer.source, own.elementBytes)});
      }
      if (takesFrom(member, own.index)) {
        Transfer transfer = own.getTransfer(own.parts[part], member, own.index);
        receives.push_back({part, member, transfer, makeType(transfer, transfer.target, own.elementBytes)});
      }
    }
}

MovingCollective::~MovingCollective() {
  int isOver = 0;
  MPI_Finalized(&isOver);
  for (std::vector<Message> *list : {&sends, &receives})
    for (Message &message : *list)
      if (!isOver)
        MPI_Type_free(&message.type);
}

int MovingCollective::getMessageTag(const Message &message) const {
  return getTag(numbers[static_cast<size_t>(message.member)], isMessage(getDescription().kind) ? messagePhase : 0, 0);
}

void MovingCollective::postSends() {
  const CollectiveDescription &own = getDescription();
  hasSent = true;
  for (const Message &message : sends)
    messages.send(own.parts[message.part].source + message.transfer.source.offset, 1, message.type, getRank(message),
                  getMessageTag(message));
}

bool MovingCollective::advance() {
  if (!hasSent && Communicator::Clock::now() >= sendTime)
    postSends();
  return hasSent && messages.test();
}

void MovingCollective::begin() {
  const CollectiveDescription &own = getDescription();
  // The parts of a bucket are messages of one tag, which arrive in the order in which they were sent.
  for (const Message &message : receives)
    messages.receive(own.parts[message.part].target + message.transfer.target.offset, 1, message.type, getRank(message),
                     getMessageTag(message));
  hasSent = false;
  if (Communicator::Clock::now() >= sendTime)
    postSends();
  bool keepsOwn = !isMessage(own.kind) && (own.kind != CollectiveKind::Permute || own.getPermuteSource() == own.index);
  for (const CollectiveDescription::Part &part : own.parts)
    if (keepsOwn)
      copyTransfer(own.getTransfer(part, own.index, own.index), part.source, part.target);
}

//===----------------------------------------------------------------------===//
// Reducing
//===----------------------------------------------------------------------===//

ReducingCollective::ReducingCollective(CollectiveDescription given, std::vector<int> numbers)
    : Collective(std::move(given)), numbers(std::move(numbers)), sources(getDescription().group.size()) {
  const CollectiveDescription &own = getDescription();
  int64_t pieceElements = pieceBytes / own.elementBytes;
  for (const CollectiveDescription::Part &part : own.parts) {
    std::vector<Transfer> &members = blocks.emplace_back();
    int64_t most = 0;
    for (int member = 0; member < own.getGroupSize(); ++member) {
      members.push_back(own.getTransfer(part, member, member));
      most = std::max(most, members.back().getBytes() / own.elementBytes);
    }
    roundsOfPart.push_back((most + pieceElements - 1) / pieceElements);
  }
}

ReducingCollective::Range ReducingCollective::getRange(size_t part, int member, int64_t index) const {
  int64_t elementBytes = getDescription().elementBytes, pieceElements = pieceBytes / elementBytes;
  int64_t elements = blocks[part][static_cast<size_t>(member)].getBytes() / elementBytes;
  int64_t begin = std::min(index * pieceElements, elements);
  return {begin, std::min(begin + pieceElements, elements)};
}

std::byte *ReducingCollective::getBuffer(size_t slot, bool isSend, int member) const {
  auto size = static_cast<size_t>(getDescription().getGroupSize());
  size_t place = (slot * 2 + (isSend ? 1 : 0)) * size + static_cast<size_t>(member);
  return buffer + place * static_cast<size_t>(pieceBytes);
}

const std::byte *ReducingCollective::pack(size_t part, int member, Range range, std::byte *packed) const {
  const CollectiveDescription &own = getDescription();
  const Transfer &block = blocks[part][static_cast<size_t>(member)];
  const std::byte *source = own.parts[part].source + block.source.offset;
  int64_t begin = range.begin * own.elementBytes, end = range.end * own.elementBytes;
  if (block.outer == 1)
    return source + begin;
  for (int64_t at = begin; at < end;) {
    int64_t row = at / block.run, column = at % block.run;
    int64_t bytes = std::min(block.run - column, end - at);
    std::memcpy(packed + (at - begin), source + row * block.source.outerStride + column, static_cast<size_t>(bytes));
    at += bytes;
  }
  return packed;
}

void ReducingCollective::startNextRound(size_t slot) {
  const CollectiveDescription &own = getDescription();
  while (nextPart < roundsOfPart.size() && nextIndex == roundsOfPart[nextPart]) {
    ++nextPart;
    nextIndex = 0;
  }
  Round &round = rounds[slot];
  round.underWay = Round::Nothing;
  if (nextPart == roundsOfPart.size())
    return;
  round.part = nextPart;
  round.index = nextIndex++;
  round.number = nextNumber++;
  round.underWay = Round::Sources;
  Range mine = getRange(round.part, own.index, round.index);
  for (int member = 0; member < own.getGroupSize(); ++member) {
    if (member == own.index)
      continue;
    int rank = own.group[static_cast<size_t>(member)], number = numbers[static_cast<size_t>(member)];
    int sourceTag = getTag(number, 0, round.number), resultTag = getTag(number, 1, round.number);
    Range theirs = getRange(round.part, member, round.index);
    if (mine.getCount() > 0)
      round.sources.receive(getBuffer(slot, false, member), mine.getCount() * own.elementBytes, MPI_BYTE, rank, sourceTag);
    if (theirs.getCount() == 0)
      continue;
    round.sources.send(pack(round.part, member, theirs, getBuffer(slot, true, member)),
                       theirs.getCount() * own.elementBytes, MPI_BYTE, rank, sourceTag);
    if (own.kind == CollectiveKind::AllReduce)
      round.results.receive(own.parts[round.part].target +
                                blocks[round.part][static_cast<size_t>(member)].target.offset +
                                theirs.begin * own.elementBytes,
                            theirs.getCount() * own.elementBytes, MPI_BYTE, rank, resultTag);
  }
}

void ReducingCollective::reduce(size_t slot) {
  const CollectiveDescription &own = getDescription();
  Round &round = rounds[slot];
  round.underWay = Round::Results;
  Range mine = getRange(round.part, own.index, round.index);
  if (mine.getCount() == 0)
    return;
  for (int member = 0; member < own.getGroupSize(); ++member)
    sources[static_cast<size_t>(member)] = getBuffer(slot, false, member);
  sources[static_cast<size_t>(own.index)] = pack(round.part, own.index, mine, getBuffer(slot, true, own.index));
  // Blocks are contiguous in the target, whatever they are in the source.
  std::byte *target = own.parts[round.part].target +
                      blocks[round.part][static_cast<size_t>(own.index)].target.offset + mine.begin * own.elementBytes;
  reduceElements(own.reduction, own.type, sources, target, mine.getCount());
  for (int member = 0; own.kind == CollectiveKind::AllReduce && member < own.getGroupSize(); ++member)
    if (member != own.index)
      round.results.send(target, mine.getCount() * own.elementBytes, MPI_BYTE, own.group[static_cast<size_t>(member)],
                         getTag(numbers[static_cast<size_t>(member)], 1, round.number));
}

void ReducingCollective::begin() {
  nextPart = 0;
  nextIndex = nextNumber = 0;
  for (size_t slot = 0; slot < window; ++slot)
    startNextRound(slot);
}

bool ReducingCollective::advance() {
  bool isDone = true;
  for (size_t slot = 0; slot < window; ++slot) {
    Round &round = rounds[slot];
    if (round.underWay == Round::Sources && round.sources.test())
      reduce(slot);
    if (round.underWay == Round::Results && round.results.test())
      startNextRound(slot);
    isDone &= round.underWay == Round::Nothing;
  }
  return isDone;
}

std::vector<int> ReducingCollective::getMissing() const {
  // Who waits for another's source has no result to send.
  std::set<int> missing;
  for (auto messages : {&Round::sources, &Round::results})
    for (const Round &round : rounds)
      if (missing.empty() || messages == &Round::sources)
        for (int rank : (round.*messages).getMissing())
          missing.insert(rank);
  return {missing.begin(), missing.end()};
}

std::string ReducingCollective::getError() const {
  for (const Round &round : rounds)
    for (const PendingMessages *messages : {&round.sources, &round.results})
      if (!messages->getError().empty())
        return messages->getError();
  return {};
}
