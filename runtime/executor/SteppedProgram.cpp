//===- SteppedProgram.cpp - A program, one command at a time --------------===//

#include "runtime/executor/SteppedProgram.h"

#include <map>

using namespace primus;
using namespace primus::runtime;

SteppedProgram::SteppedProgram(const executable::Executable &executable, const FlatProgram &flat,
                               std::span<const std::unique_ptr<Collective>> collectives,
                               std::span<const void *const> kernels, Device &device, Communicator &communicator)
    : collectives(collectives), device(device), communicator(communicator) {
  std::map<const void *, const executable::Kernel *> kernelOf;
  for (size_t i = 0; i < kernels.size(); ++i)
    kernelOf[kernels[i]] = &executable.kernels(static_cast<int>(i));
  auto exchange = flat.exchanges.begin();
  for (size_t i = 0; i <= flat.commands.size(); ++i) {
    for (; exchange != flat.exchanges.end() && exchange->command == i; ++exchange) {
      Action &action = actions.emplace_back();
      action.kind = exchange->kind;
      action.collective = exchange->collective;
    }
    if (i == flat.commands.size())
      break;
    Action &action = actions.emplace_back();
    action.command = &flat.commands[i];
    action.caller = flat.callers[i];
    if (action.command->kind == Command::Kind::Launch)
      action.kernel = kernelOf.at(action.command->kernel);
    action.prepared = device.prepare(std::span(action.command, 1));
  }
}

Error SteppedProgram::run(const Action &action) {
  if (action.command)
    return device.run(*action.prepared);
  Collective &collective = *collectives[action.collective];
  switch (action.kind) {
  case Exchange::Kind::Start:
    communicator.start(collective);
    return Error::success();
  case Exchange::Kind::Wait:
    return communicator.wait(collective);
  case Exchange::Kind::Run:
    return communicator.run(collective);
  }
  return Error::success();
}

Error SteppedProgram::run(const std::function<Error(const Action &)> &after) {
  for (const Action &action : actions) {
    if (Error error = run(action))
      return error;
    if (Error error = after(action))
      return error;
  }
  return Error::success();
}
