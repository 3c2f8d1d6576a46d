//===- MpiCommunicator.cpp - Ranks that are processes ---------------------===//

#include "runtime/communicators/mpi/library/MpiCommunicator.h"

#include "runtime/communicators/mpi/MpiLibrary.h"
#include "runtime/communicators/mpi/library/GatherBytes.h"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <fmt/ranges.h>

using namespace primus::runtime;

/// Longer notices are cut.
static constexpr size_t noticeLimit = 4096;

MpiCommunicator::MpiCommunicator(const CommunicatorOptions &options, std::string &error) : Communicator(options) {
  bool isReady = false;
  // MPI wants to be started, used and ended by one thread.
  thread = std::thread([&] {
    std::string message = startMpi();
    {
      std::lock_guard lock(mutex);
      error = message;
      isReady = true;
    }
    changed.notify_all();
    if (message.empty())
      work();
  });
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return isReady; });
}

MpiCommunicator::~MpiCommunicator() {
  {
    std::lock_guard lock(mutex);
    stops = true;
  }
  changed.notify_all();
  thread.join();
}

std::string MpiCommunicator::startMpi() {
  // Nor should MPI yield whenever it finds nothing to do: see relax.
  setenv("OMPI_MCA_mpi_yield_when_idle", "0", /*overwrite=*/0);
  int provided = 0;
  if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided) != MPI_SUCCESS)
    return "MPI did not start";
  if (provided < MPI_THREAD_FUNNELED)
    return "this MPI does not allow threads";
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &numRanks);
  noticeBytes.resize(noticeLimit);
  MPI_Irecv(noticeBytes.data(), static_cast<int>(noticeLimit), MPI_BYTE, MPI_ANY_SOURCE, failureTag, MPI_COMM_WORLD,
            &notice);
  receiveQuestion();
  return {};
}

//===----------------------------------------------------------------------===//
// On any thread
//===----------------------------------------------------------------------===//

void MpiCommunicator::submit(Operation &operation) {
  operation.deadline = getDeadline() + std::max(operation.sendTime - Clock::now(), Clock::duration::zero());
  {
    std::lock_guard lock(mutex);
    operation.isDone = false;
    submitted.push_back(&operation);
  }
  changed.notify_all();
}

Error MpiCommunicator::waitFor(Operation &operation) {
  std::unique_lock lock(mutex);
  // The other thread keeps to deadlines, so that this ends.
  changed.wait(lock, [&] { return operation.isDone; });
  return operation.result;
}

void MpiCommunicator::setFailure(const std::string &message, bool tellsOthers) {
  {
    std::lock_guard lock(mutex);
    if (hasFailed)
      return;
    hasFailed = true;
    failure = message;
    mustSendNotice = tellsOthers;
  }
  changed.notify_all();
}

void MpiCommunicator::doFail(const std::string &message) {
  setFailure(message, /*tellsOthers=*/true);
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return !mustSendNotice; });
}

Error MpiCommunicator::getFailure() {
  std::lock_guard lock(mutex);
  return hasFailed ? Error::failure(failure) : Error::success();
}

Expected<std::vector<std::string>> MpiCommunicator::allGatherBytes(std::string_view bytes) {
  WaitScope scope(*this);
  GatherBytes gather(bytes, rank, numRanks);
  submit(gather);
  if (Error error = waitFor(gather))
    return error;
  return gather.take();
}

static Operation &getOperation(Collective &collective) { return dynamic_cast<Operation &>(collective); }

std::vector<int> MpiCommunicator::number(const CollectiveDescription &description) {
  // The host's operations have number 0. Numbers start again where tags end; by then the first ones are long done.
  constexpr int mostNumbers = INT32_MAX / (phasesOfTag * roundsOfTag) - 1;
  std::map<int, int> &count = description.kind == CollectiveKind::Send      ? preparedSends
                              : description.kind == CollectiveKind::Receive ? preparedReceives
                                                                            : prepared;
  std::vector<int> numbers;
  for (int other : description.group)
    numbers.push_back(1 + count[other]++ % mostNumbers);
  return numbers;
}

std::unique_ptr<Collective> MpiCommunicator::doPrepare(CollectiveDescription description) {
  std::vector<int> numbers = number(description);
  bool reduces = description.kind == CollectiveKind::AllReduce || description.kind == CollectiveKind::ReduceScatter;
  if (reduces && !description.isLocal())
    return std::make_unique<ReducingCollective>(std::move(description), std::move(numbers));
  return std::make_unique<MovingCollective>(std::move(description), std::move(numbers));
}

void MpiCommunicator::submit(Collective &collective) {
  Operation &operation = getOperation(collective);
  // The other side has a message when the modelled link has carried it. Members of a group wait for their own links.
  bool isHeld = collective.getDescription().kind == CollectiveKind::Send && !getOptions().link.onProcessorTime;
  operation.sendTime = isHeld ? getArrival(collective) : Clock::time_point();
  submit(operation);
}

void MpiCommunicator::doStart(Collective &collective) { submit(collective); }

Error MpiCommunicator::doWait(Collective &collective, Clock::time_point) { return waitFor(getOperation(collective)); }

Error MpiCommunicator::doRun(Collective &collective, Clock::time_point) {
  submit(collective);
  return waitFor(getOperation(collective));
}

//===----------------------------------------------------------------------===//
// On the thread that talks to MPI
//===----------------------------------------------------------------------===//

void MpiCommunicator::giveBuffer(ReducingCollective &collective) {
  int64_t bytes = ReducingCollective::getBufferBytes(collective.getDescription().getGroupSize());
  auto free = buffers.find(bytes);
  if (free == buffers.end()) {
    bufferBytes += bytes;
    collective.buffer = new std::byte[static_cast<size_t>(bytes)];
    return;
  }
  collective.buffer = free->second.release();
  buffers.erase(free);
}

void MpiCommunicator::take(Operation &operation) {
  if (auto *reducing = dynamic_cast<ReducingCollective *>(&operation))
    giveBuffer(*reducing);
  operation.begin();
  active.push_back(&operation);
}

void MpiCommunicator::finish(size_t index, Error result) {
  Operation &operation = *active[index];
  active.erase(active.begin() + static_cast<ptrdiff_t>(index));
  if (auto *reducing = dynamic_cast<ReducingCollective *>(&operation)) {
    int64_t bytes = ReducingCollective::getBufferBytes(reducing->getDescription().getGroupSize());
    // Messages of what failed may still arrive, so that its buffer is not used again.
    if (!result)
      buffers.emplace(bytes, std::unique_ptr<std::byte[]>(reducing->buffer));
  }
  {
    std::lock_guard lock(mutex);
    operation.result = std::move(result);
    operation.isDone = true;
  }
  changed.notify_all();
}

bool MpiCommunicator::advance() {
  bool isFinished = false;
  for (size_t i = 0; i < active.size();) {
    Operation &operation = *active[i];
    bool isDone = operation.advance();
    if (std::string error = operation.getError(); !error.empty()) {
      setFailure(fmt::format("{}: {}", operation.getName(), error), /*tellsOthers=*/true);
    } else if (isDone) {
      finish(i, Error::success());
      isFinished = true;
      continue;
    } else if (Clock::now() > operation.deadline) {
      std::string where = operation.getName();
      setFailure(describeLost(findLost(operation.getMissing()), where), /*tellsOthers=*/true);
    }
    ++i;
  }
  return isFinished;
}

void MpiCommunicator::receiveNotice() {
  int hasArrived = 0;
  MPI_Status status;
  if (notice == MPI_REQUEST_NULL || MPI_Test(&notice, &hasArrived, &status) != MPI_SUCCESS || !hasArrived)
    return;
  int bytes = 0;
  MPI_Get_count(&status, MPI_BYTE, &bytes);
  setFailure(std::string(noticeBytes.data(), static_cast<size_t>(std::max(bytes, 0))), /*tellsOthers=*/false);
}

static constexpr char waits = 'w', computes = 'c', silent = 's';

void MpiCommunicator::receiveQuestion() {
  MPI_Irecv(&questionByte, 1, MPI_BYTE, MPI_ANY_SOURCE, questionTag, MPI_COMM_WORLD, &question);
}

void MpiCommunicator::answerQuestion() {
  int hasArrived = 0;
  MPI_Status status;
  if (question == MPI_REQUEST_NULL || MPI_Test(&question, &hasArrived, &status) != MPI_SUCCESS || !hasArrived)
    return;
  answers.send(isWaiting() ? &waits : &computes, 1, MPI_BYTE, status.MPI_SOURCE, answerTag);
  answers.test();
  receiveQuestion();
}

std::vector<int> MpiCommunicator::findLost(const std::vector<int> &missing) {
  answerBytes.assign(static_cast<size_t>(numRanks), silent);
  answerBytes[static_cast<size_t>(rank)] = waits;
  for (int other = 0; other < numRanks; ++other) {
    if (other == rank)
      continue;
    questions.receive(&answerBytes[static_cast<size_t>(other)], 1, MPI_BYTE, other, answerTag);
    questions.send(&waits, 1, MPI_BYTE, other, questionTag);
  }
  // Who lives answers at once, whatever its program does.
  constexpr std::chrono::seconds patience(1);
  auto deadline = Clock::now() + patience;
  while (!questions.test() && Clock::now() < deadline && !getFailure()) {
    answerQuestion();
    receiveNotice();
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  std::vector<bool> isWaitingRank;
  for (char answer : answerBytes)
    isWaitingRank.push_back(answer == waits);
  return chooseLost(missing, isWaitingRank);
}

void MpiCommunicator::sendNotice() {
  std::string message;
  {
    std::lock_guard lock(mutex);
    message = failure.substr(0, noticeLimit);
  }
  for (int other = 0; other < numRanks; ++other)
    if (other != rank)
      notices.send(message.data(), static_cast<int64_t>(message.size()), MPI_BYTE, other, failureTag);
  // A lost rank never takes its notice; the others do so at once.
  constexpr std::chrono::milliseconds patience(500);
  auto deadline = Clock::now() + patience;
  while (!notices.test() && Clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  {
    std::lock_guard lock(mutex);
    mustSendNotice = false;
  }
  changed.notify_all();
}

/// Looks again at once for as long as a message takes, and then sleeps in between, so that processes that share a core do
/// not burn it. (To yield it would be worse: on a busy machine, a turn is lost each time.)
static void relax(int idleTurns) {
  constexpr int eagerTurns = 20, shortTurns = 500;
  if (idleTurns > eagerTurns)
    std::this_thread::sleep_for(std::chrono::microseconds(idleTurns < shortTurns ? 20 : 200));
}

void MpiCommunicator::work() {
  std::vector<Operation *> taken;
  int idleTurns = 0;
  while (true) {
    bool mustSend, hasEnded, hasFailedNow;
    {
      std::unique_lock lock(mutex);
      // Now and then a look at the notices, even where nothing is waited for.
      constexpr std::chrono::milliseconds pause(20);
      if (active.empty())
        changed.wait_for(lock, pause, [&] { return !submitted.empty() || mustSendNotice || stops; });
      taken.swap(submitted);
      mustSend = mustSendNotice;
      hasFailedNow = hasFailed;
      hasEnded = stops && taken.empty();
    }
    if (mustSend)
      sendNotice();
    if (hasEnded && active.empty())
      break;
    for (Operation *operation : taken) {
      if (!hasFailedNow)
        take(*operation);
      else
        active.push_back(operation);
    }
    bool isBusy = !taken.empty();
    taken.clear();
    if (!hasFailedNow) {
      isBusy |= advance();
      receiveNotice();
      answerQuestion();
    }
    if (Error error = getFailure()) {
      // Messages of what is given up stay posted; nothing follows that they could disturb.
      while (!active.empty())
        finish(0, error);
      continue;
    }
    idleTurns = isBusy ? 0 : idleTurns + 1;
    if (!active.empty() && !isBusy)
      relax(idleTurns);
  }
  if (getFailure())
    return;
  for (MPI_Request *request : {&notice, &question}) {
    MPI_Cancel(request);
    MPI_Request_free(request);
  }
  MPI_Finalize();
}

extern "C" __attribute__((visibility("default"))) Communicator *
primus_create_mpi_communicator(const CommunicatorOptions &options, std::string &error) {
  auto communicator = std::make_unique<MpiCommunicator>(options, error);
  return error.empty() ? communicator.release() : nullptr;
}
