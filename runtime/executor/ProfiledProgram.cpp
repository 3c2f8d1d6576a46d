//===- ProfiledProgram.cpp - A program, one command at a time -------------===//

#include "runtime/executor/ProfiledProgram.h"

#include <map>

using namespace primus;
using namespace primus::runtime;

/// The label of a command; `kernel` is that of a launch.
static ProfileLabel makeLabel(const Command &command, const executable::Kernel *kernel, const std::string &instance,
                              const Profile &profile) {
  ProfileLabel label;
  label.instance = instance;
  label.bytes = command.bytes;
  switch (command.kind) {
  case Command::Kind::Launch:
    label.name = kernel->name();
    label.category = "kernel";
    label.flops = command.flops;
    label.boundSeconds = profile.getBoundSeconds(kernel->name());
    return label;
  case Command::Kind::Copy:
    label.name = label.category = "copy";
    return label;
  case Command::Kind::Fill:
    label.name = label.category = "fill";
    return label;
  }
  return label;
}

ProfiledProgram::ProfiledProgram(const executable::Executable &executable, const std::string &name,
                                 const FlatProgram &flat, std::span<const std::unique_ptr<Collective>> collectives,
                                 std::span<const void *const> kernels, Device &device, Communicator &communicator,
                                 Profile &profile)
    : label{name, "program"}, collectives(collectives), device(device), communicator(communicator), profile(profile) {
  std::map<const void *, const executable::Kernel *> kernelOf;
  for (size_t i = 0; i < kernels.size(); ++i)
    kernelOf[kernels[i]] = &executable.kernels(static_cast<int>(i));
  for (const std::unique_ptr<Collective> &collective : collectives) {
    const CollectiveDescription &description = collective->getDescription();
    collectiveLabels.push_back({description.name, "collective", "", 0, description.getSentBytes()});
  }
  auto exchange = flat.exchanges.begin();
  for (size_t i = 0; i <= flat.commands.size(); ++i) {
    for (; exchange != flat.exchanges.end() && exchange->command == i; ++exchange) {
      Action &action = actions.emplace_back();
      action.label = {collectiveLabels[exchange->collective].name, "wait"};
      action.kind = exchange->kind;
      action.collective = exchange->collective;
    }
    if (i == flat.commands.size())
      break;
    const Command &command = flat.commands[i];
    const executable::Kernel *kernel = command.kind == Command::Kind::Launch ? kernelOf.at(command.kernel) : nullptr;
    Action &action = actions.emplace_back();
    action.label = makeLabel(command, kernel, *flat.instances[i], profile);
    action.command = device.prepare(std::span(&command, 1));
  }
}

Error ProfiledProgram::run(Action &action) {
  if (action.command)
    return device.run(*action.command);
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

/// marks[i] is when the actions before i were done.
void ProfiledProgram::record(std::span<const double> marks) {
  std::map<size_t, double> started;
  for (size_t i = 0; i < actions.size(); ++i) {
    const Action &action = actions[i];
    double begin = marks[i], end = marks[i + 1];
    bool isStart = !action.command && action.kind == Exchange::Kind::Start;
    if (!isStart)
      profile.add(action.label, Profile::Track::Device, begin, end);
    if (action.command)
      continue;
    if (action.kind != Exchange::Kind::Wait)
      started[action.collective] = begin;
    if (!isStart)
      profile.add(collectiveLabels[action.collective], Profile::Track::Exchange, started[action.collective], end);
  }
  profile.add(label, Profile::Track::Program, marks.front(), marks[actions.size()]);
}

Error ProfiledProgram::run(const Device::Poll &poll) {
  if (Error error = device.mark())
    return error;
  for (Action &action : actions) {
    if (Error error = run(action))
      return error;
    if (Error error = device.mark())
      return error;
  }
  if (Error error = device.synchronize(poll))
    return error;
  Expected<std::vector<double>> marks = device.takeMarks();
  if (!marks)
    return marks.takeError();
  record(*marks);
  return Error::success();
}
