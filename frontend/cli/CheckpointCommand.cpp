//===- CheckpointCommand.cpp - primus-checkpoint --------------------------===//

#include "frontend/cli/CheckpointCommand.h"

#include "frontend/checkpoint/Export.h"
#include "frontend/checkpoint/Import.h"
#include "frontend/checkpoint/Inspect.h"
#include "frontend/cli/CrashGuard.h"
#include "frontend/cli/PrintError.h"

#include <CLI/CLI.hpp>

using namespace primus;
using namespace primus::checkpoint;
using runtime::Error;
using runtime::Expected;

/// An error without a message has been printed.
static Error runCommand(int argc, const char *const *argv) {
  CLI::App app("Checkpoints of Hugging Face models and of ours.", "primus-checkpoint");
  app.require_subcommand(1);

  ImportOptions importOptions;
  CLI::App *importing = app.add_subcommand("import", "a Hugging Face folder becomes a checkpoint of ours");
  importing->add_option("--hf", importOptions.from, "the Hugging Face folder")->required()->type_name("DIR");
  importing->add_option("--to", importOptions.to, "the checkpoint's new folder")->required()->type_name("DIR");
  importing->add_flag("--allow-unknown", importOptions.allowUnknown, "unknown keys of config.json are warnings");

  ExportOptions exportOptions;
  std::string type;
  CLI::App *exporting = app.add_subcommand("export", "a checkpoint of ours becomes a Hugging Face folder");
  exporting->add_option("--from", exportOptions.from, "our checkpoint, or a run's folder of them: the newest")
      ->required()
      ->type_name("DIR");
  exporting->add_option("--hf", exportOptions.to, "the new Hugging Face folder")->required()->type_name("DIR");
  exporting
      ->add_option("--like", exportOptions.like,
                   "take config.json, tokenizer, names and types from this Hugging Face folder or imported checkpoint "
                   "(default: those of the import)")
      ->type_name("DIR");
  exporting->add_option("--dtype", type, "type of all tensors (default: as imported)")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}));

  std::string path;
  bool asJson = false;
  CLI::App *inspecting = app.add_subcommand("inspect", "names, types, shapes and bytes of a checkpoint's tensors");
  inspecting->add_option("path", path, "a safetensors file, a Hugging Face folder or a checkpoint of ours")
      ->required()
      ->type_name("PATH");
  inspecting->add_flag("--json", asJson, "as JSON");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? Error::success() : Error::configuration("");
  }

  if (*importing)
    return importCheckpoint(importOptions);
  if (*exporting) {
    if (!type.empty())
      exportOptions.type = type == "f32"    ? runtime::StoredType::F32
                           : type == "bf16" ? runtime::StoredType::BF16
                                            : runtime::StoredType::F16;
    return exportCheckpoint(exportOptions);
  }
  Expected<std::string> text = inspect(path, asJson);
  if (!text)
    return text.takeError();
  fmt::print("{}", *text);
  return Error::success();
}

int cli::checkpointMain(int argc, const char *const *argv) {
  return runGuarded([&]() -> int {
    Error error = runCommand(argc, argv);
    if (!error)
      return 0;
    printError("primus-checkpoint", error);
    return error.getExitCode();
  });
}
