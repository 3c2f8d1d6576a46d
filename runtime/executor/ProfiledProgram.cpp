//===- ProfiledProgram.cpp - A program that notes when what ran -----------===//

#include "runtime/executor/ProfiledProgram.h"

#include <map>

using namespace primus;
using namespace primus::runtime;

static ProfileLabel makeDeviceLabel(const SteppedProgram &program, const SteppedProgram::Action &action,
                                    const Profile &profile) {
  if (!action.command)
    return {program.getCollective(action.collective).name, "wait"};
  ProfileLabel label;
  label.function = *action.caller.function;
  label.instance = *action.caller.instance;
  label.bytes = action.command->bytes;
  switch (action.command->kind) {
  case Command::Kind::Launch:
    label.name = action.kernel->name();
    label.category = "kernel";
    label.flops = action.command->flops;
    label.boundSeconds = profile.getBoundSeconds(action.kernel->name());
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

ProfiledProgram::ProfiledProgram(const std::string &name, SteppedProgram given, Profile &profile)
    : label{name, "program"}, program(std::move(given)), profile(profile) {
  for (const SteppedProgram::Action &action : program.getActions()) {
    deviceLabels.push_back(makeDeviceLabel(program, action, profile));
    ProfileLabel &label = exchangeLabels.emplace_back();
    if (action.command)
      continue;
    const CollectiveDescription &collective = program.getCollective(action.collective);
    label.name = collective.name;
    label.category = "collective";
    label.bytes = collective.getSentBytes();
  }
}

/// marks[i] is when the actions before i were done.
void ProfiledProgram::record(std::span<const double> marks) {
  std::map<size_t, double> started;
  std::span<const SteppedProgram::Action> actions = program.getActions();
  for (size_t i = 0; i < actions.size(); ++i) {
    const SteppedProgram::Action &action = actions[i];
    double begin = marks[i], end = marks[i + 1];
    bool isStart = !action.command && action.kind == Exchange::Kind::Start;
    if (!isStart)
      profile.add(deviceLabels[i], Profile::Track::Device, begin, end);
    if (action.command)
      continue;
    if (action.kind != Exchange::Kind::Wait)
      started[action.collective] = begin;
    if (!isStart)
      profile.add(exchangeLabels[i], Profile::Track::Exchange, started[action.collective], end);
  }
  profile.add(label, Profile::Track::Program, marks.front(), marks[actions.size()]);
}

Error ProfiledProgram::runOnProcessorTime() {
  const Communicator &communicator = program.getCommunicator();
  std::vector<double> marks = {communicator.getSeconds()};
  auto mark = [&](const SteppedProgram::Action &) {
    marks.push_back(communicator.getSeconds());
    return Error::success();
  };
  if (Error error = program.run(mark))
    return error;
  record(marks);
  return Error::success();
}

Error ProfiledProgram::run(const Device::Poll &poll) {
  if (program.getCommunicator().getOptions().link.onProcessorTime)
    return runOnProcessorTime();
  Device &device = program.getDevice();
  if (Error error = device.mark())
    return error;
  if (Error error = program.run([&](const SteppedProgram::Action &) { return device.mark(); }))
    return error;
  if (Error error = device.synchronize(poll))
    return error;
  Expected<std::vector<double>> marks = device.takeMarks();
  if (!marks)
    return marks.takeError();
  record(*marks);
  return Error::success();
}
