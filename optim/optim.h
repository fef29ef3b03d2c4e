// All of training: optimizers, and the loop ready made.
#pragma once

#include "../nn/nn.h"
#include "adam.h"
#include "history.h"
#include "optimizer.h"
#include "progress.h"
#include "schedule.h"
#include "sgd.h"
#include "trainer.h"
