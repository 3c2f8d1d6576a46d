//===- primus-train.cpp - Trains a model ----------------------------------===//

#include "runtime/train/TrainCommand.h"

int main(int argc, char **argv) { return primus::runtime::runTrainCommand(argc, argv); }
