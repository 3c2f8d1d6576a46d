//===- Process.cpp - Runs programs for tests ------------------------------===//

#include "tests/runtime/Process.h"

#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <sys/wait.h>
#include <unistd.h>

using namespace primus::test;

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
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    for (std::string &entry : environment)
      putenv(entry.data());
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  close(ends[1]);
  descriptor = ends[0];
}

Process::~Process() {
  if (pid > 0) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
  close(descriptor);
}

bool Process::readSome() {
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
  waitpid(pid, &status, 0);
  pid = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
