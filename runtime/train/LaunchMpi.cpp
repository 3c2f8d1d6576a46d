//===- LaunchMpi.cpp - One rank of many processes -------------------------===//

#include "runtime/communicators/mpi/MpiLibrary.h"
#include "runtime/devices/cpu/ThreadPool.h"
#include "runtime/executable/ExecutableFile.h"
#include "runtime/support/Checksum.h"
#include "runtime/support/Logging.h"
#include "runtime/train/Launch.h"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <unistd.h>

using namespace primus::runtime;

/// A number in the environment, or 0.
static int getNumber(const char *variable) {
  const char *text = std::getenv(variable);
  return text ? std::max(std::atoi(text), 0) : 0;
}

int primus::runtime::getLaunchedRanks() {
  // mpirun, and srun with PMI-2 or PMIx. A batch script of Slurm has the last variable too, but none of PMIx.
  int ranks = std::max(getNumber("OMPI_COMM_WORLD_SIZE"), getNumber("PMI_SIZE"));
  if (ranks == 0 && std::getenv("PMIX_RANK"))
    ranks = getNumber("SLURM_NTASKS");
  return std::max(ranks, 1);
}

int primus::runtime::getLaunchedLocalRank() {
  // Open MPI's mpirun, Intel's and MPICH's hydra, and srun.
  for (const char *variable : {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"})
    if (std::getenv(variable))
      return getNumber(variable);
  return 0;
}

bool primus::runtime::isLaunched() {
  return std::ranges::any_of(std::initializer_list<const char *>{"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMI_RANK", "PMIX_RANK"},
                             [](const char *variable) { return std::getenv(variable) != nullptr; });
}

int primus::runtime::getUnconnectedTasks() {
  int tasks = isLaunched() ? 0 : getNumber("SLURM_STEP_NUM_TASKS");
  return tasks > 1 ? tasks : 0;
}

/// Threads for this process, where others on this host take their share.
static int chooseThreads(int asked) {
  if (asked > 0)
    return asked;
  int threads = getDefaultThreads();
  // A launcher that binds processes to processors has divided them already.
  bool isBound = static_cast<long>(getAllowedProcessors().size()) < sysconf(_SC_NPROCESSORS_ONLN);
  return isBound ? threads : std::max(1, threads / std::max(1, getNumber("OMPI_COMM_WORLD_LOCAL_SIZE")));
}

/// Compiles on rank 0 and gives what comes out to the others. An executable each loads by itself.
static Error prepareTogether(Run &run, PrepareRun prepare, Communicator &communicator, bool &isDone) {
  bool isMain = communicator.getRank() == 0;
  bool compiles = !run.options.isExecutable();
  if (compiles && run.options.ranks == 0) {
    run.options.compileArguments.push_back("--ranks");
    run.options.compileArguments.push_back(std::to_string(communicator.getNumRanks()));
  }
  Error error = Error::success();
  if (isMain || !compiles)
    error = prepare(run, isDone);
  if (Error agreed = communicator.agree(std::move(error)))
    return agreed;
  if (!compiles)
    return Error::success();
  Expected<std::string> bytes =
      communicator.broadcast(isMain && !isDone ? serializeExecutable(run.executable) : std::string());
  if (!bytes)
    return bytes.takeError();
  isDone = bytes->empty();
  if (isMain || isDone)
    return Error::success();
  Expected<primus::executable::Executable> executable = parseExecutable(*bytes, "the program that rank 0 has compiled");
  if (!executable)
    return executable.takeError();
  run.executable = std::move(*executable);
  run.executableChecksum = addToChecksum(0, *bytes);
  return Error::success();
}

static Error checkRanks(const Run &run, int present) {
  auto ranks = std::max<int64_t>(run.executable.world_size(), 1);
  if (ranks != present)
    return Error::configuration(fmt::format("'{}' is compiled for {} rank{}, but {} {} started (mpirun -n {})",
                                            run.options.input, ranks, ranks == 1 ? "" : "s", present,
                                            present == 1 ? "was" : "were", ranks));
  return Error::success();
}

LaunchResult primus::runtime::launchMpi(Run &run, PrepareRun prepare) {
  CommunicatorOptions options;
  // Compiling takes rank 0 a while, and says how far it is.
  constexpr double compileSeconds = 3600;
  options.timeoutSeconds = std::max(run.options.timeoutSeconds, compileSeconds);
  Expected<LinkModel> link = LinkModel::fromEnvironment();
  if (!link)
    return {link.takeError()};
  options.link = *link;
  if (run.options.ranks > 0 && run.options.ranks != getLaunchedRanks())
    return {Error::configuration(fmt::format("--ranks {}: start {} processes: mpirun -n {} primus-train ...",
                                             run.options.ranks, run.options.ranks, run.options.ranks))};
  Expected<std::unique_ptr<Communicator>> created = createMpiCommunicator(options);
  if (!created)
    return {created.takeError()};
  Communicator &communicator = **created;
  int rank = communicator.getRank();
  if (rank > 0)
    muteThisThread();

  RankResult result;
  bool isDone = false;
  std::optional<DataSet> data;
  // What goes wrong before training goes wrong on all ranks together.
  auto prepareRank = [&]() -> Error {
    if (Error error = prepareTogether(run, prepare, communicator, isDone); error || isDone)
      return error;
    communicator.setTimeout(run.options.timeoutSeconds);
    Error error = checkRanks(run, communicator.getNumRanks());
    if (!error) {
      Expected<DataSet> opened = openRunData(run);
      if (opened)
        data.emplace(std::move(*opened));
      else
        error = opened.takeError();
    }
    if (!error)
      error = setUpRunLogging(run);
    return communicator.agree(std::move(error));
  };
  result.error = prepareRank();
  result.isAgreed = !communicator.getFailure();
  if (!result.error && !isDone)
    result = runRank(run, *data, communicator, chooseThreads(run.options.threads));
  if (!result.error)
    result.error = communicator.barrier();

  LaunchResult launched;
  launched.error = std::move(result.error);
  if (!launched.error)
    return launched;
  if (result.isAgreed) {
    // Before any process ends: mpirun ends the others when it sees the exit code of the first.
    if (rank == 0)
      reportError(launched.error);
    launched.isReported = !communicator.barrier();
    return launched;
  }
  if (rank > 0)
    launched.error = Error::failure(communicator.nameRank(launched.error.getMessage()));
  // Neither MPI nor the ranks that are left can be waited for.
  launched.isStuck = true;
  (void)created->release();
  return launched;
}
