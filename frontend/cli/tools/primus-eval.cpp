//===- primus-eval.cpp - Evaluates a Hugging Face model -------------------===//

#include "frontend/cli/EvalCommand.h"

int main(int argc, char **argv) { return primus::cli::evalMain(argc, argv); }
