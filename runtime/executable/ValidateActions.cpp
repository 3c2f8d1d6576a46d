//===- ValidateActions.cpp - Does every action stay inside its memory? ----===//

#include "runtime/executable/Collectives.h"
#include "runtime/executable/Types.h"
#include "runtime/executable/Validation.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>
#include <vector>

using namespace primus;
using namespace primus::runtime;
using executable::Action;
using executable::Executable;
using executable::Reference;

namespace {

/// What a function needs of a memory region that its caller provides.
struct RegionNeed {
  int64_t bytes = 0;     ///< from the region's start
  int64_t alignment = 1; ///< of the region's start
};

/// What a function needs of its caller, and its length once flattened.
struct FunctionNeeds {
  std::vector<RegionNeed> arguments;
  RegionNeed scratch;
  int64_t commands = 0;
  int64_t operands = 0;
};

class ActionValidator {
public:
  explicit ActionValidator(const Executable &executable) : executable(executable), mesh(executable.mesh()) {}

  Error run();

private:
  Error checkFunction(const executable::Function &function, FunctionNeeds &needs);
  Error checkProgram(const executable::Program &program);

  /// Checks a program's actions. `count` is how often the enclosing loop runs them: 1 outside a loop.
  Error checkProgramActions(const google::protobuf::RepeatedPtrField<Action> &actions, int64_t count, bool inLoop);
  Error checkCall(const executable::Call &call, int64_t count);

  /// Checks whatever is neither a call nor a loop. `check(reference, bytes, alignment)` judges each of its references.
  template <typename Check>
  Error checkCommand(const Action &action, Check check);

  template <typename Check>
  Error checkCollective(const executable::Collective &collective, Check check);

  /// Entries that a checked action takes in the lists of a flattened program, beside itself.
  int64_t countOperands(const Action &action) const;

  /// Keeps account of the collectives in flight.
  Error startTicket(int64_t ticket);
  Error waitForTicket(int64_t ticket);
  /// Checks that nothing is in flight at the end of a function or program.
  Error checkNothingInFlight() const;

  /// Checks a reference of a function and widens what the function needs.
  static Error checkFunctionReference(const Reference &reference, int64_t bytes, int64_t alignment,
                                      const executable::Function &function, FunctionNeeds &needs);

  /// Checks that `bytes` at a reference of a program lie in the arena in each of `count` iterations.
  Error checkArenaReference(const Reference &reference, int64_t bytes, int64_t alignment, int64_t count);

  const Executable &executable;
  RankMesh mesh;
  std::vector<FunctionNeeds> functions;
  std::set<int64_t> inFlight;
  int64_t commands = 0;
  int64_t operands = 0;
};

} // namespace

static bool isSize(int64_t value) { return value >= 0 && value <= maximumBytes; }

Error ActionValidator::run() {
  functions.resize(static_cast<size_t>(executable.functions_size()));
  for (int i = 0; i < executable.functions_size(); ++i) {
    const executable::Function &function = executable.functions(i);
    if (Error error = checkFunction(function, functions[static_cast<size_t>(i)]))
      return Error::failure(fmt::format("functions[{}] '{}' {}", i, function.name(), error.getMessage()));
  }
  for (int i = 0; i < executable.programs_size(); ++i) {
    const executable::Program &program = executable.programs(i);
    if (Error error = checkProgram(program))
      return Error::failure(fmt::format("programs[{}] '{}' {}", i, program.name(), error.getMessage()));
  }
  return Error::success();
}

template <typename Check>
Error ActionValidator::checkCommand(const Action &action, Check check) {
  switch (action.action_case()) {
  case Action::kLaunch: {
    const executable::Launch &launch = action.launch();
    if (launch.kernel() < 0 || launch.kernel() >= executable.kernels_size())
      return Error::failure(fmt::format("launch of kernel {} of {}", launch.kernel(), executable.kernels_size()));
    const executable::Kernel &kernel = executable.kernels(launch.kernel());
    if (launch.operands_size() != kernel.arguments_size())
      return Error::failure(fmt::format("launch of '{}' with {} operands, it takes {}", kernel.name(),
                                        launch.operands_size(), kernel.arguments_size()));
    for (int i = 0; i < launch.operands_size(); ++i) {
      const executable::TensorType &type = kernel.arguments(i).type();
      if (Error error = check(launch.operands(i), *getByteSize(type), *getElementBytes(type.data_type())))
        return Error::failure(
            fmt::format("launch of '{}', operand {}: {}", kernel.name(), i, error.getMessage()));
    }
    return Error::success();
  }
  case Action::kCopy: {
    const executable::Copy &copy = action.copy();
    if (!isSize(copy.bytes()))
      return Error::failure(fmt::format("copy of {} bytes", copy.bytes()));
    if (Error error = check(copy.source(), copy.bytes(), 1))
      return Error::failure(fmt::format("copy, source: {}", error.getMessage()));
    if (Error error = check(copy.target(), copy.bytes(), 1))
      return Error::failure(fmt::format("copy, target: {}", error.getMessage()));
    return Error::success();
  }
  case Action::kFill: {
    const executable::Fill &fill = action.fill();
    if (!isSize(fill.bytes()))
      return Error::failure(fmt::format("fill of {} bytes", fill.bytes()));
    if (Error error = check(fill.target(), fill.bytes(), 1))
      return Error::failure(fmt::format("fill, target: {}", error.getMessage()));
    return Error::success();
  }
  case Action::kCollective: {
    if (Error error = checkCollective(action.collective(), check))
      return Error::failure(fmt::format("{}: {}", action.collective().kind(), error.getMessage()));
    return startTicket(action.collective().ticket());
  }
  case Action::kWait:
    return waitForTicket(action.wait().ticket());
  default:
    return Error::failure("an action that is not allowed here, or that this program does not know");
  }
}

int64_t ActionValidator::countOperands(const Action &action) const {
  if (action.has_collective())
    return action.collective().parts_size() + mesh.getGroupSize(action.collective().axes());
  return action.launch().operands_size();
}

//===----------------------------------------------------------------------===//
// Collectives
//===----------------------------------------------------------------------===//

template <typename Check>
Error ActionValidator::checkCollective(const executable::Collective &collective, Check check) {
  std::optional<CollectiveKind> kind = parseCollectiveKind(collective.kind());
  if (!kind)
    return Error::failure("not a kind of collective");
  std::unordered_set<std::string_view> used;
  if (collective.axes().empty())
    return Error::failure("no axes");
  if (Error error = validateAxes(mesh, collective.axes(), used))
    return error;
  int groupSize = mesh.getGroupSize(collective.axes());
  std::optional<int64_t> elementBytes = getElementBytes(collective.data_type());
  if (!elementBytes)
    return Error::failure("no valid data type");
  if (Error error = validateReduction(*kind, collective))
    return error;
  if (collective.shift() != 0 && *kind != CollectiveKind::Permute)
    return Error::failure(fmt::format("a shift of {}", collective.shift()));
  bool sends = *kind == CollectiveKind::Send, receives = *kind == CollectiveKind::Receive;
  if (!isMessage(*kind) ? collective.peer() != 0 : collective.peer() < 0 || collective.peer() >= groupSize)
    return Error::failure(fmt::format("the peer {} in a group of {}", collective.peer(), groupSize));
  if (collective.shift() < -groupSize || collective.shift() > groupSize)
    return Error::failure(fmt::format("a shift of {} in a group of {}", collective.shift(), groupSize));
  if (collective.parts().empty())
    return Error::failure("no parts");
  for (int i = 0; i < collective.parts_size(); ++i) {
    const executable::Part &part = collective.parts(i);
    auto fail = [&](std::string_view what, const Error &error) {
      return Error::failure(fmt::format("parts[{}]{}: {}", i, what, error.getMessage()));
    };
    Expected<PartBytes> bytes = getPartBytes(*kind, part, *elementBytes, groupSize);
    if (!bytes)
      return fail("", bytes.takeError());
    if (sends ? part.has_target() : receives && part.has_source())
      return fail("", Error::failure("a side that the message does not have"));
    if (Error error = receives ? Error::success() : check(part.source(), bytes->source, *elementBytes))
      return fail(", source", error);
    if (Error error = sends ? Error::success() : check(part.target(), bytes->target, *elementBytes))
      return fail(", target", error);
  }
  return Error::success();
}

Error ActionValidator::startTicket(int64_t ticket) {
  if (ticket == 0)
    return Error::success();
  if (ticket < 0)
    return Error::failure(fmt::format("ticket {}", ticket));
  if (!inFlight.insert(ticket).second)
    return Error::failure(fmt::format("ticket {} is in flight already", ticket));
  return Error::success();
}

Error ActionValidator::waitForTicket(int64_t ticket) {
  if (inFlight.erase(ticket) == 0)
    return Error::failure(fmt::format("wait: ticket {} is not in flight", ticket));
  return Error::success();
}

Error ActionValidator::checkNothingInFlight() const {
  if (inFlight.empty())
    return Error::success();
  return Error::failure(fmt::format("never waits for ticket {}", *inFlight.begin()));
}

//===----------------------------------------------------------------------===//
// Functions
//===----------------------------------------------------------------------===//

Error ActionValidator::checkFunctionReference(const Reference &reference, int64_t bytes, int64_t alignment,
                                              const executable::Function &function, FunctionNeeds &needs) {
  if (!isSize(reference.offset()) || reference.offset() % alignment != 0)
    return Error::failure(fmt::format("offset {} is not valid", reference.offset()));
  if (reference.stride_bytes() != 0)
    return Error::failure("a microbatch stride outside a loop");
  int64_t end = reference.offset() + bytes;
  RegionNeed *region = nullptr;
  if (reference.base_case() == Reference::kArgument) {
    if (reference.argument() < 0 || reference.argument() >= function.num_arguments())
      return Error::failure(fmt::format("argument {} of {}", reference.argument(), function.num_arguments()));
    region = &needs.arguments[static_cast<size_t>(reference.argument())];
  } else if (reference.base_case() == Reference::kScratch) {
    if (end > function.scratch_bytes())
      return Error::failure(fmt::format("{} bytes at offset {} lie outside the scratch region of {} bytes", bytes,
                                        reference.offset(), function.scratch_bytes()));
    region = &needs.scratch;
  } else {
    return Error::failure("a reference that is neither to an argument nor to scratch");
  }
  region->bytes = std::max(region->bytes, end);
  region->alignment = std::max(region->alignment, alignment);
  return Error::success();
}

Error ActionValidator::checkFunction(const executable::Function &function, FunctionNeeds &needs) {
  constexpr int maximumArguments = 1 << 16;
  if (function.num_arguments() < 0 || function.num_arguments() > maximumArguments)
    return Error::failure(fmt::format("has {} arguments", function.num_arguments()));
  if (!isSize(function.scratch_bytes()))
    return Error::failure(fmt::format("has {} bytes of scratch", function.scratch_bytes()));
  needs.arguments.resize(static_cast<size_t>(function.num_arguments()));
  inFlight.clear();
  for (int i = 0; i < function.actions_size(); ++i) {
    const Action &action = function.actions(i);
    auto check = [&](const Reference &reference, int64_t bytes, int64_t alignment) {
      return checkFunctionReference(reference, bytes, alignment, function, needs);
    };
    if (Error error = checkCommand(action, check))
      return Error::failure(fmt::format("actions[{}]: {}", i, error.getMessage()));
    ++needs.commands;
    needs.operands += countOperands(action);
  }
  needs.scratch.bytes = function.scratch_bytes();
  return checkNothingInFlight();
}

//===----------------------------------------------------------------------===//
// Programs
//===----------------------------------------------------------------------===//

Error ActionValidator::checkArenaReference(const Reference &reference, int64_t bytes, int64_t alignment,
                                           int64_t count) {
  if (reference.base_case() != Reference::kArena || !reference.arena())
    return Error::failure("a program's reference that is not to the arena");
  int64_t offset = reference.offset(), stride = reference.stride_bytes();
  if (!isSize(offset) || !isSize(stride) || (count > 1 && stride > maximumBytes / (count - 1)))
    return Error::failure(fmt::format("offset {} with stride {} is not valid", offset, stride));
  if (offset % alignment != 0 || stride % alignment != 0)
    return Error::failure(fmt::format("offset {} with stride {} is not a multiple of {}", offset, stride, alignment));
  int64_t end = offset + stride * (count - 1) + bytes;
  if (end > executable.memory().arena())
    return Error::failure(fmt::format("{} bytes at offset {} with stride {} lie outside the arena of {} bytes", bytes,
                                      offset, stride, executable.memory().arena()));
  return Error::success();
}

Error ActionValidator::checkCall(const executable::Call &call, int64_t count) {
  if (call.function() < 0 || call.function() >= executable.functions_size())
    return Error::failure(fmt::format("call of function {} of {}", call.function(), executable.functions_size()));
  const executable::Function &function = executable.functions(call.function());
  const FunctionNeeds &needs = functions[static_cast<size_t>(call.function())];
  auto fail = [&](const std::string &what) {
    return Error::failure(fmt::format("call of '{}' for '{}', {}", function.name(), call.instance(), what));
  };
  if (call.arguments_size() != function.num_arguments())
    return fail(fmt::format("{} arguments, it takes {}", call.arguments_size(), function.num_arguments()));
  for (int i = 0; i < call.arguments_size(); ++i) {
    const RegionNeed &need = needs.arguments[static_cast<size_t>(i)];
    if (Error error = checkArenaReference(call.arguments(i), need.bytes, need.alignment, count))
      return fail(fmt::format("argument {}: {}", i, error.getMessage()));
  }
  if (needs.scratch.bytes > 0)
    if (Error error = checkArenaReference(call.scratch(), needs.scratch.bytes, arenaAlignment, count))
      return fail(fmt::format("scratch: {}", error.getMessage()));
  commands += needs.commands * count;
  operands += needs.operands * count;
  return Error::success();
}

Error ActionValidator::checkProgramActions(const google::protobuf::RepeatedPtrField<Action> &actions, int64_t count,
                                           bool inLoop) {
  for (int i = 0; i < actions.size(); ++i) {
    const Action &action = actions[i];
    auto checkAction = [&]() -> Error {
      if (action.has_loop()) {
        // A microbatch stride belongs to one loop.
        if (inLoop)
          return Error::failure("a loop inside a loop");
        if (action.loop().count() < 1 || action.loop().count() > maximumCommands)
          return Error::failure(fmt::format("a loop of {} iterations", action.loop().count()));
        // An iteration has to leave in flight what it found there, so that the next one may do the same.
        std::set<int64_t> before = inFlight;
        if (Error error = checkProgramActions(action.loop().body(), action.loop().count(), /*inLoop=*/true))
          return error;
        if (action.loop().count() > 1 && inFlight != before)
          return Error::failure("the tickets in flight change from one iteration of the loop to the next");
        return Error::success();
      }
      if (action.has_call())
        return checkCall(action.call(), count);
      auto check = [&](const Reference &reference, int64_t bytes, int64_t alignment) {
        return checkArenaReference(reference, bytes, alignment, count);
      };
      if (Error error = checkCommand(action, check))
        return error;
      commands += count;
      operands += count * countOperands(action);
      return Error::success();
    };
    if (Error error = checkAction())
      return Error::failure(fmt::format("actions[{}]: {}", i, error.getMessage()));
    if (commands > maximumCommands || operands > maximumOperands)
      return Error::failure(fmt::format("actions[{}]: the program is longer than {} commands or {} operands", i,
                                        maximumCommands, maximumOperands));
  }
  return Error::success();
}

Error ActionValidator::checkProgram(const executable::Program &program) {
  commands = 0;
  operands = 0;
  inFlight.clear();
  if (Error error = checkProgramActions(program.actions(), /*count=*/1, /*inLoop=*/false))
    return error;
  return checkNothingInFlight();
}

Error runtime::validateActions(const Executable &executable) { return ActionValidator(executable).run(); }
