//===- Flatten.cpp - A program as one list of commands --------------------===//

#include "runtime/executor/Flatten.h"

#include "runtime/executable/Mesh.h"
#include "runtime/executable/PipelineRank.h"
#include "runtime/executable/Types.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <map>
#include <utility>

using namespace primus;
using namespace primus::runtime;
using executable::Action;
using executable::Reference;

namespace {

class Flattener {
public:
  Flattener(const executable::Executable &executable, std::byte *arena, std::span<const void *const> kernels, int rank)
      : executable(executable), mesh(executable.mesh()), rank(rank), arena(arena), kernels(kernels) {}

  Error addProgram(const google::protobuf::RepeatedPtrField<Action> &actions, int64_t iteration);
  FlatProgram take();

private:
  /// Collectives in flight, by their ticket.
  using Tickets = std::map<int64_t, size_t>;

  Error addCall(const executable::Call &call, int64_t iteration);

  /// Adds what is neither a call nor a loop; `resolve` turns its references into addresses.
  template <typename Resolve>
  Error addCommand(const Action &action, Tickets &tickets, Resolve resolve);
  template <typename Resolve>
  Error addCollective(const executable::Collective &collective, Tickets &tickets, Resolve resolve);
  Error addCopy(std::byte *source, std::byte *target, int64_t bytes);

  std::byte *resolveInArena(const Reference &reference, int64_t iteration) const {
    return arena + reference.offset() + reference.stride_bytes() * iteration;
  }

  const executable::Executable &executable;
  RankMesh mesh;
  int rank;
  std::byte *arena;
  std::span<const void *const> kernels;
  FlatProgram program;
  /// Of the call that is being unrolled; empty outside.
  Caller caller = {&executable::Call::default_instance().instance(), &executable::Call::default_instance().instance()};
  /// Of the program; a function has its own.
  Tickets programTickets;
  /// For each command, its first operand: `operands` still moves while it grows.
  std::vector<size_t> firstOperands;
};

} // namespace

Error Flattener::addCopy(std::byte *source, std::byte *target, int64_t bytes) {
  if (source == target || bytes == 0)
    return Error::success();
  if (source < target + bytes && target < source + bytes)
    return Error::failure(fmt::format("a copy of {} bytes from offset {} to {}, which overlap", bytes, source - arena,
                                      target - arena));
  Command command = {Command::Kind::Copy};
  command.bytes = bytes;
  command.source = source;
  command.target = target;
  program.commands.push_back(command);
  return Error::success();
}

/// For messages to people.
static std::string describe(const executable::Collective &collective, const CollectiveDescription &description) {
  std::string instance = collective.instance().empty() ? "" : " of " + collective.instance();
  switch (description.kind) {
  case CollectiveKind::Send:
    return fmt::format("send to rank {}{}", description.group[1], instance);
  case CollectiveKind::Receive:
    return fmt::format("receive from rank {}{}", description.group[0], instance);
  default:
    return fmt::format("{} over {}{}", collective.kind(), fmt::join(collective.axes(), ", "), instance);
  }
}

template <typename Resolve>
Error Flattener::addCollective(const executable::Collective &collective, Tickets &tickets, Resolve resolve) {
  CollectiveDescription description;
  description.kind = *parseCollectiveKind(collective.kind());
  description.reduction = parseReduction(collective.reduction()).value_or(Reduction::Sum);
  description.type = collective.data_type();
  description.elementBytes = *getElementBytes(collective.data_type());
  description.shift = collective.shift();
  description.group = mesh.getGroup(rank, collective.axes());
  description.index = mesh.getGroupIndex(rank, collective.axes());
  description.isBetweenStages = std::ranges::find(collective.axes(), pipelineAxis) != collective.axes().end();
  if (isMessage(description.kind)) {
    int peer = description.group[static_cast<size_t>(collective.peer())];
    if (peer == rank)
      return Error::failure(fmt::format("{} has itself as its peer", collective.kind()));
    bool sends = description.kind == CollectiveKind::Send;
    description.group = sends ? std::vector{rank, peer} : std::vector{peer, rank};
    description.index = sends ? 0 : 1;
  }
  description.name = describe(collective, description);
  for (const executable::Part &part : collective.parts()) {
    CollectiveDescription::Part flat = {{part.shape().begin(), part.shape().end()}, part.dim(), part.second_dim(),
                                        part.has_source() ? resolve(part.source()) : nullptr,
                                        part.has_target() ? resolve(part.target()) : nullptr};
    Expected<PartBytes> bytes =
        getPartBytes(description.kind, part, description.elementBytes, description.getGroupSize());
    if (!bytes)
      return bytes.takeError();
    bool hasBoth = flat.source && flat.target, isInPlace = flat.source == flat.target && description.kind == CollectiveKind::AllReduce;
    if (hasBoth && !isInPlace && flat.source < flat.target + bytes->target && flat.target < flat.source + bytes->source)
      return Error::failure(fmt::format("{}: source at offset {} and target at offset {} overlap", description.name,
                                        flat.source - arena, flat.target - arena));
    description.parts.push_back(std::move(flat));
  }
  size_t index = program.collectives.size();
  program.collectives.push_back(std::move(description));
  bool isInBackground = collective.ticket() != 0;
  if (isInBackground)
    tickets[collective.ticket()] = index;
  program.exchanges.push_back(
      {isInBackground ? Exchange::Kind::Start : Exchange::Kind::Run, program.commands.size(), index});
  return Error::success();
}

template <typename Resolve>
Error Flattener::addCommand(const Action &action, Tickets &tickets, Resolve resolve) {
  size_t firstOperand = program.operands.size();
  if (action.has_copy()) {
    if (Error error = addCopy(resolve(action.copy().source()), resolve(action.copy().target()), action.copy().bytes()))
      return error;
  } else if (action.has_fill()) {
    Command command = {Command::Kind::Fill};
    command.bytes = action.fill().bytes();
    command.target = resolve(action.fill().target());
    if (command.bytes > 0)
      program.commands.push_back(command);
  } else if (action.has_collective()) {
    if (Error error = addCollective(action.collective(), tickets, resolve))
      return error;
  } else if (action.has_wait()) {
    program.exchanges.push_back({Exchange::Kind::Wait, program.commands.size(), tickets[action.wait().ticket()]});
  } else {
    const executable::Launch &launch = action.launch();
    const executable::Kernel &kernel = executable.kernels(launch.kernel());
    Command command = {Command::Kind::Launch};
    command.flops = kernel.flops();
    command.bytes = kernel.bytes();
    command.kernel = kernels[static_cast<size_t>(launch.kernel())];
    command.instances = *getElementCount(kernel.grid());
    for (const Reference &operand : launch.operands())
      program.operands.push_back(resolve(operand));
    program.commands.push_back(command);
  }
  firstOperands.resize(program.commands.size(), firstOperand);
  program.callers.resize(program.commands.size(), caller);
  return Error::success();
}

Error Flattener::addCall(const executable::Call &call, int64_t iteration) {
  auto resolve = [&](const Reference &reference) {
    const Reference &base = reference.has_argument() ? call.arguments(reference.argument()) : call.scratch();
    return resolveInArena(base, iteration) + reference.offset();
  };
  Tickets tickets;
  const executable::Function &function = executable.functions(call.function());
  Caller outside = std::exchange(caller, {&function.name(), &call.instance()});
  for (const Action &action : function.actions())
    if (Error error = addCommand(action, tickets, resolve))
      return error;
  caller = outside;
  return Error::success();
}

Error Flattener::addProgram(const google::protobuf::RepeatedPtrField<Action> &actions, int64_t iteration) {
  for (const Action &action : actions) {
    if (action.has_loop()) {
      for (int64_t i = 0; i < action.loop().count(); ++i)
        if (Error error = addProgram(action.loop().body(), i))
          return error;
    } else if (action.has_call()) {
      if (Error error = addCall(action.call(), iteration))
        return error;
    } else {
      auto resolve = [&](const Reference &reference) { return resolveInArena(reference, iteration); };
      if (Error error = addCommand(action, programTickets, resolve))
        return error;
    }
  }
  return Error::success();
}

FlatProgram Flattener::take() {
  for (size_t i = 0; i < program.commands.size(); ++i)
    program.commands[i].arguments = program.operands.data() + firstOperands[i];
  return std::move(program);
}

Expected<FlatProgram> runtime::flatten(const executable::Executable &executable, const executable::Program &program,
                                       std::byte *arena, std::span<const void *const> kernels, int rank) {
  Flattener flattener(executable, arena, kernels, rank);
  if (Error error = flattener.addProgram(program.actions(), /*iteration=*/0))
    return Error::failure(fmt::format("program '{}': {}", program.name(), error.getMessage()));
  return flattener.take();
}
