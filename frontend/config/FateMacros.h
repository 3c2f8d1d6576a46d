//===- FateMacros.h - The lines of Keys*.def as initialisers of Fate -------===//

#pragma once

#define MAPPED(key, fields, ...) {#key, Fate::Kind::Mapped, fields, "", "" __VA_ARGS__},
#define NO_EFFECT(key, reason) {#key, Fate::Kind::NoEffect, reason, "", ""},
#define UNSUPPORTED(key, neutral, missing) {#key, Fate::Kind::Unsupported, missing, neutral, ""},
