// A program outside the project that reads an executable with the installed runtime library.
#include "runtime/executable/ExecutableFile.h"

#include <iostream>

int main(int argc, char **argv) {
  auto executable = primus::runtime::loadExecutable(argv[argc - 1]);
  if (!executable) {
    std::cerr << executable.takeError().getMessage() << "\n";
    return 1;
  }
  std::cout << "programs:";
  for (const auto &program : executable->programs())
    std::cout << " " << program.name();
  std::cout << "\n";
}
