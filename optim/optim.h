// All of training: optimizers, and the loop ready made.
#pragma once

#include "../nn/nn.h"
#include "adam.h"
#include "adaptive.h"
#include "average.h"
#include "clip.h"
#include "history.h"
#include "lbfgs.h"
#include "lion.h"
#include "optimizer.h"
#include "progress.h"
#include "schedule.h"
#include "sgd.h"
#include "trainer.h"
