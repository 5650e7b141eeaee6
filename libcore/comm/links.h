// SPDX-License-Identifier: MIT
// What a group's links cost, measured by the group itself.
#pragma once

#include "comm/collective.h"
#include "comm/communicator.h"

namespace dl::comm {

// Between rounds, by all ranks at the same point; nobody may have sent a message. Sends empty messages, and about
// 256 KiB to each rank a few times, so it takes some exchanges and the time of a megabyte. The medians of the rank that
// fared worst, which all ranks get, the same bits. Throws RoundAborted.
LinkCost measure_links(Communicator& group);

}  // namespace dl::comm
