// SPDX-License-Identifier: MIT
// A directory as something that can be lost.
#pragma once

#include "base/file.h"

namespace dl {

// What was created, renamed or removed in it is on the disk when this returns. 74 where it fails.
void sync_directory(const fs::path& directory);

}  // namespace dl
