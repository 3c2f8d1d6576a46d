//===- ProfiledProgram.h - A program that notes when what ran ---*- C++ -*-===//

#ifndef PRIMUS_RUNTIME_EXECUTOR_PROFILEDPROGRAM_H
#define PRIMUS_RUNTIME_EXECUTOR_PROFILEDPROGRAM_H

#include "runtime/executor/SteppedProgram.h"
#include "runtime/metrics/Profile.h"

namespace primus::runtime {

/// A program that is run with a mark of the device after each command and exchange, and so fills a profile. Where modelled
/// links run on processor time, so does the profile.
class ProfiledProgram {
public:
  /// The profile has to outlive it.
  ProfiledProgram(const std::string &name, SteppedProgram program, Profile &profile);

  Error run(const Device::Poll &poll);

private:
  Error runOnProcessorTime();
  void record(std::span<const double> marks);

  ProfileLabel label;
  SteppedProgram program;
  /// Of each action. An exchange is a wait on its device's track.
  std::vector<ProfileLabel> deviceLabels, exchangeLabels;
  Profile &profile;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_EXECUTOR_PROFILEDPROGRAM_H
