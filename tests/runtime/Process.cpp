//===- Process.cpp - Runs programs for tests ------------------------------===//

#include "tests/runtime/Process.h"

#include <csignal>
#include <cstdlib>
#include <poll.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace primus::test;

/// Programs of these tests take seconds, and on a busy machine some more.
static constexpr std::chrono::seconds limit(100);
/// What mpirun takes to end its ranks.
static constexpr std::chrono::seconds grace(5);

Process::Process(std::vector<std::string> command, std::vector<std::string> environment) {
  int ends[2];
  if (pipe(ends) != 0)
    throw std::runtime_error("cannot create a pipe");
  std::vector<char *> arguments;
  for (std::string &argument : command)
    arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  pid = fork();
  if (pid < 0)
    throw std::runtime_error("cannot fork");
  if (pid == 0) {
    // A group of its own, which can be ended as a whole, and ends with this process.
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    for (std::string &entry : environment)
      putenv(entry.data());
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  setpgid(pid, pid);
  close(ends[1]);
  descriptor = ends[0];
  deadline = Clock::now() + limit;
}

Process::~Process() {
  if (pid > 0) {
    sendSignal(SIGKILL);
    waitpid(pid, nullptr, 0);
  }
  close(descriptor);
}

void Process::sendSignal(int signal) const { kill(-pid, signal); }

bool Process::readSome() {
  while (true) {
    auto rest = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd ready = {descriptor, POLLIN, 0};
    if (rest > 0 && poll(&ready, 1, static_cast<int>(rest)) > 0)
      break;
    if (rest > 0)
      continue;
    sendSignal(isOverdue ? SIGKILL : SIGTERM);
    if (isOverdue)
      return false;
    isOverdue = true;
    deadline = Clock::now() + grace;
    output += "\n[ended by the test: it took too long]\n";
  }
  char buffer[4096];
  ssize_t count = read(descriptor, buffer, sizeof(buffer));
  if (count <= 0)
    return false;
  output.append(buffer, static_cast<size_t>(count));
  return true;
}

bool Process::waitFor(const std::string &text) {
  while (output.find(text) == std::string::npos)
    if (!readSome())
      return false;
  return true;
}

int Process::wait() {
  while (readSome()) {
  }
  int status = 0;
  while (waitpid(pid, &status, WNOHANG) == 0) {
    if (Clock::now() > deadline) {
      isOverdue = true;
      sendSignal(SIGKILL);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  pid = -1;
  if (isOverdue)
    return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
