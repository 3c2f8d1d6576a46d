//===- Reproducer.cpp - Files that repeat a failure of a pass --------------===//

#include "frontend/dump/Reproducer.h"

#include "mlir/Pass/PassInstrumentation.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/ToolOutputFile.h"

#include <fmt/format.h>

using namespace mlir;
using namespace primus;

namespace {

/// Knows which pass runs, for the reproducer's name.
struct PassName : PassInstrumentation {
  explicit PassName(std::shared_ptr<std::string> present) : present(std::move(present)) {}
  void runBeforePass(Pass *pass, Operation *) override {
    if (!pass->getArgument().empty())
      *present = pass->getArgument().str();
  }
  std::shared_ptr<std::string> present;
};

struct ReproducerFile : ReproducerStream {
  explicit ReproducerFile(std::unique_ptr<llvm::ToolOutputFile> output)
      : output(std::move(output)), text(this->output->getFilename().str() + "; repeat it with: primus-opt --run-reproducer " +
                                        this->output->getFilename().str()) {}
  ~ReproducerFile() override { output->keep(); }
  StringRef description() override { return text; }
  raw_ostream &os() override { return output->os(); }

  std::unique_ptr<llvm::ToolOutputFile> output;
  std::string text;
};

} // namespace

void cli::enableReproducers(PassManager &passes, StringRef folder, StringRef phase) {
  auto pass = std::make_shared<std::string>();
  passes.addInstrumentation(std::make_unique<PassName>(pass));
  passes.enableCrashReproducerGeneration(
      [pass, folder = folder.str(), phase = phase.str()](std::string &error) -> std::unique_ptr<ReproducerStream> {
        std::string name = fmt::format("reproducer-{}-{}.mlir", phase, *pass);
        (void)llvm::sys::fs::create_directories(folder);
        // Where the folder can't be written, the current one may do.
        for (const std::string &path : {folder + "/" + name, name}) {
          std::error_code code;
          auto output = std::make_unique<llvm::ToolOutputFile>(path, code, llvm::sys::fs::OF_Text);
          if (!code)
            return std::make_unique<ReproducerFile>(std::move(output));
          error = path + ": " + code.message();
        }
        return nullptr;
      },
      /*genLocalReproducer=*/true);
}
