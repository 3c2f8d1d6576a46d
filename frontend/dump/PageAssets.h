//===- PageAssets.h - The files of frontend/dump/html, embedded ---*- C++ -*-===//

#pragma once

#include "llvm/ADT/StringRef.h"

namespace primus::cli::assets {

/// page.html, style.css, and all scripts in the order of their names. Defined in a file that EmbedPage.cmake writes.
extern const llvm::StringRef page, style, script;

} // namespace primus::cli::assets
