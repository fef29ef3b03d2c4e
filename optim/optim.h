// All of training: optimizers, and the loop ready made.
#pragma once

#include "../nn/nn.h"
#include "adam.h"
#include "callbacks.h"
#include "checkpoint.h"
#include "history.h"
#include "loss.h"
#include "metric.h"
#include "optimizer.h"
#include "progress.h"
#include "run.h"
#include "schedule.h"
#include "sgd.h"
#include "trainer.h"
