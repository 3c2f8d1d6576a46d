//===- ProfiledProgram.h - A program, one command at a time ---------------===//

#ifndef PRIMUS_RUNTIME_EXECUTOR_PROFILEDPROGRAM_H
#define PRIMUS_RUNTIME_EXECUTOR_PROFILEDPROGRAM_H

#include "runtime/executor/Flatten.h"
#include "runtime/metrics/Profile.h"

namespace primus::runtime {

/// A flattened program that is run with a mark of the device after each command and exchange, and so fills a profile.
class ProfiledProgram {
public:
  /// `kernels` are what the device found for each kernel. All of it has to outlive the program.
  ProfiledProgram(const executable::Executable &executable, const std::string &name, const FlatProgram &flat,
                  std::span<const std::unique_ptr<Collective>> collectives, std::span<const void *const> kernels,
                  Device &device, Communicator &communicator, Profile &profile);

  Error run(const Device::Poll &poll);

private:
  struct Action {
    ProfileLabel label;
    std::unique_ptr<CommandList> command; ///< null: an exchange
    Exchange::Kind kind = Exchange::Kind::Run;
    size_t collective = 0;
  };

  Error run(Action &action);
  void record(std::span<const double> marks);

  ProfileLabel label;
  std::vector<ProfileLabel> collectiveLabels;
  std::vector<Action> actions;
  std::span<const std::unique_ptr<Collective>> collectives;
  Device &device;
  Communicator &communicator;
  Profile &profile;
};

} // namespace primus::runtime

#endif // PRIMUS_RUNTIME_EXECUTOR_PROFILEDPROGRAM_H
