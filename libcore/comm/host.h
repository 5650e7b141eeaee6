// SPDX-License-Identifier: MIT
// Which processes can share memory and Unix sockets: told by the processes themselves, not by their addresses.
#pragma once

#include <string>
#include <string_view>

namespace dl::comm {

// 32 digits that two processes have in common when they run under the same start of the same kernel,
// in the same process and network namespaces, as the same user; a digest together with `salt` and
// `place`. Who set network namespaces up wants their traffic seen there, so they count as hosts of their own.
// Empty where the system does not tell: such a process has no neighbours.
std::string host_identity(std::string_view salt, std::string_view place = {});

}  // namespace dl::comm
